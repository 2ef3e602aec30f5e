package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
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
		none  *broker.NoSecretError
		host  *broker.HostError
		fixed interface{ Hint() string }
		login *pglogin.Error
		chain *keychain.Error
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
	case errors.As(err, &none):
		return noSecret(none, conf)
	case errors.As(err, &chain):
		return "the keychain: " + reason(chain), storeHint(chain)
	case errors.As(err, &tried):
		return "the workspace was not asked in time: " + message, "another process may hold the lock of this token: try again, or allow it more time with --timeout"
	case errors.As(err, &room):
		return message, "name a folder of yours that is closed to others with --runtime-dir"
	}
	return message, ""
}

func hostHint(e *broker.HostError) string {
	if e.Named == "" && e.ReadOnly {
		return "enable readable secondaries for it in the console, leave --read-only out, or name the host with --pghost"
	}
	if e.Named == "" {
		return "it may still be in the making: look at it in the console, or name the host with --pghost"
	}
	return "correct " + e.Configured.Source.String() + ", or leave it out and the workspace is asked; --pghost takes any host, such as one of a private DNS"
}

// noSecret speaks of a secret that is not to be had.
func noSecret(e *broker.NoSecretError, conf *config.Config) (message, hint string) {
	message = fmt.Sprintf("no secret for client %s at %s: %s", e.ClientID, e.Host, reason(e.Err))
	for _, n := range e.Notes {
		if strings.HasPrefix(n.Name, "DATABRICKS_CLIENT_SECRET") {
			message += fmt.Sprintf(" (%s is %s)", n.Name, n.Why)
		}
	}
	var chain *keychain.Error
	if errors.As(e.Err, &chain) && !errors.Is(chain, keychain.ErrNotFound) {
		return message, keychainHint(chain) + nested(conf)
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

func reason(err error) string {
	var chain *keychain.Error
	if !errors.As(err, &chain) {
		return sanitize.Line(err.Error())
	}
	text := chain.Err.Error()
	if chain.Detail != "" {
		text += " (" + sanitize.Line(chain.Detail) + ")"
	}
	return text
}

// keychainHint names the way out for machines with and without a desktop.
func keychainHint(e *keychain.Error) string {
	const without = "give the secret in DATABRICKS_CLIENT_SECRET_FILE or --client-secret-file"
	switch {
	case errors.Is(e, keychain.ErrNotFound):
		return "store it with: lakebase-credential-helper login"
	case errors.Is(e, keychain.ErrLocked):
		return "unlock the keychain and try again, or " + without
	case errors.Is(e, keychain.ErrTimeout):
		return "look for a dialog that waits for you, allow it more time with --keychain-timeout, or " + without
	case errors.Is(e, keychain.ErrTooBig):
		return "check that it is the secret alone"
	}
	return "this machine has no keychain that answers: " + without + ", or store it with: lakebase-credential-helper login --store file"
}

// storeHint is for what works on the keychain itself and can do without no other.
func storeHint(e *keychain.Error) string {
	switch {
	case errors.Is(e, keychain.ErrLocked):
		return "unlock the keychain, and try again"
	case errors.Is(e, keychain.ErrTimeout):
		return "look for a dialog that waits for you, or allow it more time with --keychain-timeout"
	case errors.Is(e, keychain.ErrTooBig):
		return "check that it is the secret alone"
	case errors.Is(e, keychain.ErrFailed):
		return "try again; if it stays so, look at the keychain with the system's own tool"
	}
	return "on a machine without a keychain login --store file keeps the secret in a file; lakebase-exec takes it from DATABRICKS_CLIENT_SECRET_FILE or --client-secret-file too"
}
