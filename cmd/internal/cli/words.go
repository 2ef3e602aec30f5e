package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Describe turns an error into one line that says what is wrong, and one that
// says what to do about it. conf may be nil where none was made.
func Describe(err error, conf *config.Config) (message, hint string) {
	var (
		usage *UsageError
		conff *config.Error
		none  *auth.NoSecretError
		host  *lakebase.HostError
		fixed interface{ Hint() string }
		login *pglogin.Error
		tried *retry.Error
		room  *NoRuntimeDirError
	)
	message = sanitize.Line(err.Error())
	if message, hint, ok := describeWay(err, conf); ok {
		return message, hint
	}
	switch {
	case errors.As(err, &login): // before fixed: its hint depends on conf
		return sanitize.Escape(login.Error()), databaseHint(login, conf)
	case errors.As(err, &none): // before fixed: a keychain's error within it has a hint
		return noSecret(none, conf)
	case errors.As(err, &fixed):
		if call, ok := fixed.(*exchange.Error); ok {
			return workspaceError(err, call, conf)
		}
		return message, fixed.Hint()
	case errors.As(err, &usage):
		return usage.Problem, usage.Fix
	case errors.As(err, &conff):
		return sanitize.Line(conff.Error()), conff.Fix
	case errors.As(err, &host):
		return message, hostHint(host)
	case errors.As(err, &tried):
		return "the workspace was not asked in time: " + message, "another process may hold the lock of this token: try again, or allow it more time with --timeout"
	case errors.As(err, &room):
		return message, "name a folder of yours that is closed to others with --runtime-dir"
	}
	return message, ""
}

func hostHint(e *lakebase.HostError) string {
	if e.Named == "" && e.ReadOnly {
		return "enable readable secondaries for it in the console, leave --read-only out, or name the host with --pghost"
	}
	if e.Named == "" {
		return "it may still be in the making: look at it in the console, or name the host with --pghost"
	}
	return "correct " + e.Configured.Source.String() + ", or leave it out and the workspace is asked; --pghost takes any host, such as one of a private DNS"
}

// noSecret speaks of a secret that is not to be had.
func noSecret(e *auth.NoSecretError, conf *config.Config) (message, hint string) {
	message = fmt.Sprintf("no secret for client %s at %s: %s", e.ClientID, e.Host, sanitize.Line(e.Err.Error()))
	for _, n := range e.Notes {
		if strings.HasPrefix(n.Name, "DATABRICKS_CLIENT_SECRET") {
			message += fmt.Sprintf(" (%s is %s)", n.Name, n.Why)
		}
	}
	var chain *keychain.Error
	var hinted interface{ Hint() string }
	switch {
	case errors.As(e.Err, &chain):
		if !errors.Is(chain, keychain.ErrNotFound) {
			return message, secretHint(chain) + nested(conf)
		}
	case errors.As(e.Err, &hinted):
		return message, hinted.Hint()
	}
	target := " --host " + e.Host + " --client-id " + e.ClientID
	if ofProfile(conf) {
		target = SameTarget(conf)
	}
	return message, "store it with: lakebase-credential-helper login" + target + nested(conf)
}

// nested adds to a hint what helps a run inside another lakebase-exec, which has
// removed the secret from the environment.
func nested(conf *config.Config) string {
	if conf == nil || !conf.Nested {
		return ""
	}
	return "; or, as this runs inside another lakebase-exec, turn on its cache or give it --keep DATABRICKS_CLIENT_SECRET"
}

// secretHint is the hint of a keychain's error where a secret file would do as well.
func secretHint(e *keychain.Error) string {
	if errors.Is(e, keychain.ErrAbsent) { // its hint names the file
		return e.Hint()
	}
	return e.Hint() + ", or set DATABRICKS_CLIENT_SECRET_FILE (--client-secret-file)"
}
