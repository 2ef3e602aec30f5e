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
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// describeWay speaks of the ways in that are not a service principal's secret, and
// of short names of targets. ok is false where err is about none of them.
func describeWay(err error, conf *config.Config) (message, hint string, ok bool) {
	var (
		person *auth.NoLoginError
		over   *auth.LoginExpiredError
		fed    *auth.FederationError
		target *lakebase.TargetError
		way    *auth.SourceError
		denied *auth.DeniedError
		ports  *auth.PortsError
	)
	switch {
	case errors.As(err, &person):
		message, hint = noPerson(person, conf)
	case errors.As(err, &over):
		message = fmt.Sprintf("the login of %s at %s is over", sanitize.Line(over.User), over.Host)
		if ex := new(exchange.Error); errors.As(over.Err, &ex) && ex.Detail() != "" {
			message += ": " + ex.Detail()
		}
		hint = "sign in again with: " + userLogin(over.Host, conf)
	case errors.As(err, &fed):
		message = fmt.Sprintf("the workspace does not take the workload's token, whose iss is %s, sub %s, aud %s", sanitize.Line(sanitize.Quote(fed.Claims.Issuer)), sanitize.Line(sanitize.Quote(fed.Claims.Subject)), sanitize.Line(sanitize.Quote(fed.Claims.Audience)))
		if ex := new(exchange.Error); errors.As(fed.Err, &ex) && ex.Detail() != "" {
			message += ": " + ex.Detail()
		}
		hint = "the service principal needs a federation policy with these three; the audience can be set with --audience"
	case errors.As(err, &target):
		message, hint = targetWords(target, conf)
	case errors.As(err, &way):
		message, hint = sanitize.Line(way.Problem), way.Fix
	case errors.As(err, &denied):
		message, hint = sanitize.Line(denied.Error()), "run the login again, and allow it in the browser as the right person"
	case errors.As(err, &ports):
		message, hint = sanitize.Line(ports.Error()), "end one of the programs that listen there: the workspace sends the browser back to these ports alone"
	default:
		return "", "", false
	}
	return message, hint, true
}

// userLogin is the command that a person runs to sign in.
func userLogin(host string, conf *config.Config) string {
	line := "lakebase-credential-helper login --user-login"
	if conf != nil && conf.Profile.Value != "" {
		return line + " --profile " + conf.Profile.Value
	}
	return line + " --host " + host
}

func noPerson(e *auth.NoLoginError, conf *config.Config) (message, hint string) {
	if len(e.Others) > 1 {
		return sanitize.Line(fmt.Sprintf("several people have signed in at %s, and nobody says which one is meant", e.Host)),
			"choose with --user: " + sanitize.Line(strings.Join(e.Others, ", "))
	}
	var file *securefile.Error
	if errors.As(e.Err, &file) {
		if file.Fix != "" {
			hint = "run: " + file.Fix
		}
		return sanitize.Line(e.Error()), hint
	}
	var chain *keychain.Error
	if errors.As(e.Err, &chain) && !errors.Is(chain, keychain.ErrNotFound) {
		return fmt.Sprintf("no login at %s: %s", e.Host, sanitize.Line(e.Err.Error())), loginStoreHint(chain)
	}
	if e.User != "" {
		hint := "sign in with: " + userLogin(e.Host, conf)
		if conf != nil && conf.Auth.Value == "" && conf.User.Source.Origin == config.FromEnvironment { // PGUSER may be a service principal's role
			hint += "; or give --client-id (DATABRICKS_CLIENT_ID) for a service principal"
		}
		return sanitize.Line(fmt.Sprintf("%s has not signed in at %s", e.User, e.Host)), hint
	}
	return fmt.Sprintf("no client id is given, and no person has signed in at %s", e.Host),
		"give --client-id (DATABRICKS_CLIENT_ID) for a service principal, or sign in with: " + userLogin(e.Host, conf)
}

// loginStoreHint is the hint of a keychain's error for users, who have no secret.
func loginStoreHint(e *keychain.Error) string {
	if errors.Is(e, keychain.ErrAbsent) {
		return `store the login in a file with "lakebase-credential-helper login --user-login --store file"`
	}
	return e.Hint()
}

func targetWords(e *lakebase.TargetError, conf *config.Config) (message, hint string) {
	message = sanitize.Line(fmt.Sprintf("%s: %s %s", e.From, sanitize.Quote(e.Name), e.Problem))
	if len(e.Choices) == 0 {
		return message, "see what there is with: lakebase-credential-helper endpoints" + SameTarget(conf)
	}
	return message, "there are: " + sanitize.Line(strings.Join(e.Choices, ", "))
}
