package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// LimitError reports that a time limit of a whole command ended Err, which has a limit of
// its own that is longer.
type LimitError struct {
	Limit string // such as "get's time limit of 10s"
	Fix   string
	Err   error
}

func (e *LimitError) Error() string { return e.Limit + " is over: " + e.Err.Error() }
func (e *LimitError) Unwrap() error { return e.Err }

// Hint returns which option raises the limit.
func (e *LimitError) Hint() string { return e.Fix }

// Describe returns an error's message, one line, and the hint what to do about it. Both
// are the error's own; Describe adds what depends on the configuration. conf is nil if
// there is none.
func Describe(err error, conf *config.Config) (message, hint string) {
	var (
		login    *pglogin.Error
		secret   *auth.NoSecretError
		user     *auth.NoLoginError
		expired  *auth.LoginExpiredError
		workload *auth.FederationError
		target   *lakebase.TargetError
		call     *exchange.Error
		hinted   interface{ Hint() string }
		late     *retry.Error
	)
	if limit, ok := err.(*LimitError); ok {
		message, _ = Describe(limit.Err, conf)
		return limit.Limit + " is over: " + message, limit.Fix
	}
	message = sanitize.Line(err.Error())
	if is[*OutputError](err) {
		errors.As(err, &hinted)
		return message, hinted.Hint()
	}
	var roots *rootcerts.WriteError
	if errors.As(err, &roots) {
		return message, roots.Hint()
	}
	if securefile.IsEnvironmentFault(err) {
		return message, faultHint(err)
	}
	switch { // an error before those that it may hold
	case errors.As(err, &login):
		return sanitize.Escape(login.Error()), databaseHint(login, conf)
	case errors.As(err, &secret):
		return noSecret(secret, conf)
	case errors.As(err, &user):
		return sanitize.Line(user.Error()), noLoginHint(user, conf)
	case errors.As(err, &expired):
		return sanitize.Line(expired.Error()), "sign in again with: " + userLogin(expired.Host, conf)
	case errors.As(err, &workload):
		return sanitize.Line(workload.Error()), workload.Hint()
	case errors.As(err, &target):
		if hint = target.Hint(); hint == "" {
			hint = "list the endpoints with: lakebase-credential-helper endpoints" + SameTarget(conf)
		}
		return message, hint
	case errors.As(err, &call):
		return workspaceError(err, call, conf)
	case errors.As(err, &hinted):
		return message, hinted.Hint()
	case errors.As(err, &late):
		return "the workspace was not asked in time: " + message, "another process may hold the lock of this token: try again, or allow more time with --timeout"
	}
	return message, ""
}

// faultHint returns what to do about a fault of the machine. Other layers' hints would
// lead astray.
func faultHint(err error) string {
	var file *securefile.Error
	var hinted interface{ Hint() string }
	if errors.As(err, &file) && errors.As(err, &hinted) && hinted.Hint() != "" {
		return hinted.Hint()
	}
	return securefile.FaultHint(err, "")
}

// noSecret returns message and hint for a service principal's secret that cannot be read.
func noSecret(e *auth.NoSecretError, conf *config.Config) (message, hint string) {
	message = sanitize.Line(e.Error())
	for _, n := range e.Notes {
		if strings.HasPrefix(n.Name, "DATABRICKS_CLIENT_SECRET") {
			message += fmt.Sprintf(" (%s is %s)", n.Name, n.Why)
		}
	}
	nested := nestedHint(conf, "turn on its cache or give it --keep DATABRICKS_CLIENT_SECRET")
	var keychainErr *keychain.Error
	var hinted interface{ Hint() string }
	switch isKeychain := errors.As(e.Err, &keychainErr); {
	case isKeychain && errors.Is(keychainErr, keychain.ErrAbsent): // its hint names the file
		return message, keychainErr.Hint() + nested
	case isKeychain && !errors.Is(keychainErr, keychain.ErrNotFound):
		return message, keychainErr.Hint() + ", or set DATABRICKS_CLIENT_SECRET_FILE (--client-secret-file)" + nested
	case !isKeychain && errors.As(e.Err, &hinted):
		return message, hinted.Hint()
	}
	options := " --host " + e.Host + " --client-id " + e.ClientID
	if ofProfile(conf) {
		options = SameTarget(conf)
	}
	return message, "store it with: lakebase-credential-helper login" + options + nested
}

func noLoginHint(e *auth.NoLoginError, conf *config.Config) string {
	var file *securefile.Error
	var keychainErr *keychain.Error
	switch isKeychain := errors.As(e.Err, &keychainErr); {
	case len(e.Others) > 1:
		return "choose one with --user"
	case errors.As(e.Err, &file):
		return file.Hint()
	case isKeychain && errors.Is(keychainErr, keychain.ErrAbsent):
		return `store the login in a file with "lakebase-credential-helper login --user-login --store file"` + nestedHint(conf, "give it --keep DATABRICKS_TOKEN")
	case isKeychain && !errors.Is(keychainErr, keychain.ErrNotFound):
		return keychainErr.Hint()
	case e.User == "":
		return "give --client-id (DATABRICKS_CLIENT_ID) for a service principal, or sign in with: " + userLogin(e.Host, conf) + nestedHint(conf, "give it --keep DATABRICKS_TOKEN")
	}
	hint := "sign in with: " + userLogin(e.Host, conf)
	if conf != nil && conf.Auth.Value == "" && conf.User.Source.Origin == config.FromEnvironment { // PGUSER may be a service principal's role
		hint += "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal"
	}
	return hint + nestedHint(conf, "give it --keep DATABRICKS_TOKEN")
}

// nestedHint returns what else helps a run inside another lakebase-exec, which has
// removed the credentials from the environment.
func nestedHint(conf *config.Config, fix string) string {
	if conf == nil || !conf.Nested {
		return ""
	}
	return "; or, as this runs inside another lakebase-exec, " + fix
}

// userLogin returns the command that signs a user in.
func userLogin(host string, conf *config.Config) string {
	line := "lakebase-credential-helper login --user-login"
	if conf != nil && conf.Profile.Value != "" {
		return line + " --profile " + conf.Profile.Value
	}
	return line + " --host " + host
}

// workspaceError returns the message of a call that failed, with its attempts, and
// what to do about it.
func workspaceError(err error, e *exchange.Error, conf *config.Config) (message, hint string) {
	call := *e
	if conf != nil {
		call.Origins = origins(e, conf)
	}
	text := call.Error()
	var tried *retry.Error
	if errors.As(err, &tried) && tried.After > 0 {
		text += fmt.Sprintf(" (server asks to wait for %s)", tried.After.Round(time.Second))
	} else if errors.As(err, &tried) && tried.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts in %s)", tried.Attempts, tried.Elapsed.Round(100*time.Millisecond))
	}
	return text, call.Hint()
}

// origins returns where the values of conf come from, for messages and hints of calls.
func origins(e *exchange.Error, conf *config.Config) exchange.Origins {
	o := exchange.Origins{Host: conf.Workspace.Source.String(), Subject: conf.AuthType().Subject, SameSetup: SameTarget(conf)}
	if h := auth.HinterFor(*conf); h != nil {
		o.Token, o.TokenFix = h.TokenName(*conf), h.Hint(e, *conf)
	}
	if from := conf.TargetFrom(); from.Origin != config.FromDefault {
		o.Target = from.String()
	}
	if conf.TTL.Given() {
		o.TTL = conf.TTL.Source.String()
	}
	return o
}

// SameTarget returns the options with which a command of lakebase-credential-helper
// uses the same workspace and identity: the profile, or else the options that named
// them. The environment is the same for the next command.
func SameTarget(conf *config.Config) string {
	switch {
	case conf == nil:
		return ""
	case ofProfile(conf):
		return " --profile " + conf.Profile.Value
	}
	named := func(s config.Source) bool { return s.Origin == config.FromOption || s.Origin == config.FromProfile }
	var text string
	if s := conf.DatabricksProfile; s.Value != "" && named(s.Source) {
		text += " --databricks-profile " + s.Value
	}
	if h := conf.Workspace; named(h.Source) {
		text += " --host " + h.Value.HostPort()
	}
	if id := conf.ClientID; id.Value != "" && named(id.Source) {
		text += " --client-id " + id.Value
	}
	return text
}

// ofProfile reports whether workspace and identity are the profile's. If an option
// changes them, login --profile would store a secret for others.
func ofProfile(conf *config.Config) bool {
	return conf != nil && conf.Profile.Value != "" && conf.Workspace.Source.Origin != config.FromOption && conf.ClientID.Source.Origin != config.FromOption
}
