package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// workspaceError is one line about a call that failed, with what the server said.
func workspaceError(err error, e *exchange.Error, conf *config.Config) string {
	text, thing := fmt.Sprintf("the workspace %s", e.Host), "endpoint"
	if e.IsInstance() {
		thing = "instance"
	}
	switch e.Kind {
	case exchange.KindInvalidClient:
		text += " refused the client id or its secret"
	case exchange.KindEntitlement:
		text += " has not given this service principal workspace access"
	case exchange.KindEndpointMalformed:
		text += " does not take the " + thing + "'s name"
	case exchange.KindEndpointNotFound:
		text += " has no such " + thing + ", or none that this service principal may see"
	case exchange.KindEndpointDisabled:
		text += " says that the endpoint is disabled"
	case exchange.KindInstanceStopped:
		text += " says that the instance is stopped"
	case exchange.KindInstanceFailingOver:
		text += " says that the instance is failing over"
	case exchange.KindInstanceDeleting:
		text += " says that the instance is being deleted"
	case exchange.KindPermissionDenied:
		text += " denies permission"
	case exchange.KindSecretNotFound:
		text += " has no such secret of this service principal"
	case exchange.KindTooManySecrets:
		text += " lets this service principal have no more secrets"
	case exchange.KindBearerRefused:
		text += " refused " + whichBearer(conf)
	case exchange.KindRateLimited:
		text += " limits the rate of calls"
	case exchange.KindCodeRefused:
		text += " does not take the code that the browser brought"
	case exchange.KindForeignHost:
		text += " names an endpoint or audience that is not its own, and nothing was sent there"
	case exchange.KindNotJSON, exchange.KindTooLarge, exchange.KindBadReply:
		text += " did not answer as a workspace does"
	case exchange.KindRedirect:
		text += " sends elsewhere, and a credential is not sent after it"
	case exchange.KindNameNotResolved:
		text += " has no address"
	case exchange.KindCertificate:
		text += " has a certificate that is not trusted"
	case exchange.KindTLS:
		text += " does not speak TLS as it should"
	case exchange.KindProxy:
		text += " cannot be reached through the proxy"
	case exchange.KindBroken, exchange.KindDeadline, exchange.KindCanceled:
		text += " could not be reached or did not answer"
	case exchange.KindUnavailable, exchange.KindServerError:
		text += " has a fault of its own"
	default:
		text += " refused"
	}
	text = asWhom(text, conf)
	if d := detail(e); d != "" {
		text += ": " + d
	}
	var tried *retry.Error
	if errors.As(err, &tried) && tried.After > 0 {
		text += fmt.Sprintf(" (it asks to wait for %s)", tried.After.Round(time.Second))
	} else if errors.As(err, &tried) && tried.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts in %s)", tried.Attempts, tried.Elapsed.Round(100*time.Millisecond))
	}
	return text
}

// asWhom puts a person in the service principal's place, in words of ours.
func asWhom(text string, conf *config.Config) string {
	if conf == nil || !credential.IsPerson(conf.Auth.Value) {
		return text
	}
	return strings.ReplaceAll(text, "service principal", "user")
}

// detail is what the server or the system said, where it said something.
func detail(e *exchange.Error) string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.Code != "" {
		parts = append(parts, sanitize.Line(e.Code))
	}
	text := strings.Join(parts, " ")
	if e.Message != "" {
		text = strings.TrimPrefix(text+": "+sanitize.Line(e.Message), ": ")
	} else if e.Err != nil {
		text = strings.TrimPrefix(text+": "+sanitize.Line(e.Err.Error()), ": ")
	}
	if e.RequestID != "" {
		text += ", request " + sanitize.Line(e.RequestID)
	}
	return text
}

// SameTarget is what makes a command of lakebase-credential-helper mean the same
// workspace and identity: the profile, or else the options that named them. What
// the environment gives, it gives the next command too.
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

// ofProfile says whether the identity is a profile's: with one that an option
// changes, login would store for the profile's, and write it there.
func ofProfile(conf *config.Config) bool {
	return conf != nil && conf.Profile.Value != "" && conf.Workspace.Source.Origin != config.FromOption && conf.ClientID.Source.Origin != config.FromOption
}

func workspaceHint(e *exchange.Error, conf *config.Config) string {
	hostFrom, target := "the host", "the target's name"
	if conf != nil {
		hostFrom, target = conf.Workspace.Source.String(), conf.TargetFrom().String()
	}
	if e.Kind == exchange.KindPermissionDenied && strings.Contains(e.Message, "IP ACL") { // the words of omnigent-ai/omnigent#4463
		return "add this machine's address to the workspace's IP access list"
	}
	if hint := instanceHint(e, target); hint != "" {
		return hint
	}
	if hint := wayHint(e, conf); hint != "" {
		return hint
	}
	switch e.Kind {
	case exchange.KindInvalidClient:
		return "check the client id, and whether the secret was revoked or has expired; store a new one with: lakebase-credential-helper login" + SameTarget(conf)
	case exchange.KindEntitlement:
		return "a workspace admin enables \"Workspace access\" for the service principal"
	case exchange.KindEndpointMalformed:
		return "check " + target + ": its form is " + config.EndpointForm
	case exchange.KindEndpointNotFound:
		return "check " + target + ", and that the service principal may use the project; see what there is with: lakebase-credential-helper endpoints" + SameTarget(conf)
	case exchange.KindEndpointDisabled:
		return "enable the endpoint in the console: a login cannot wake it"
	case exchange.KindTooManySecrets:
		return "delete one that serves nowhere any more in the workspace's settings, and try again"
	case exchange.KindPermissionDenied:
		switch e.Call {
		case exchange.CallListSecrets, exchange.CallCreateSecret, exchange.CallDeleteSecret:
			return "a workspace admin makes the service principal a manager of itself; or make a new secret in the workspace's settings, and store it with: lakebase-credential-helper login" + SameTarget(conf)
		case exchange.CallWorkspaceToken:
			return "a workspace admin lets the service principal sign in, and this machine's address where there is an IP access list"
		}
		return "give the service principal CAN USE on the project"
	case exchange.KindRateLimited:
		return "try again later; processes that share the cache share one token"
	case exchange.KindNotJSON, exchange.KindTooLarge, exchange.KindBadReply, exchange.KindRedirect, exchange.KindTLS:
		return "check " + hostFrom + ": it must be the workspace's own address; a proxy or login page in between answers like this too"
	case exchange.KindNameNotResolved:
		return "check " + hostFrom + " for a typing error, and the name resolution of this machine"
	case exchange.KindCertificate:
		if hint := rootcerts.VerifyHint(e, hostFrom); hint != "" {
			return hint
		}
		return "if a company proxy or private authority signed the certificate, pass the root certificate of that authority with --cacert"
	case exchange.KindProxy:
		return "check HTTPS_PROXY and NO_PROXY"
	case exchange.KindBearerRefused:
		return "check this machine's clock, and try again"
	case exchange.KindServerError:
		return "try again later; if it stays so, ask Databricks' support, which wants the time and the request's id"
	case exchange.KindRefused:
		return refusedHint(e, hostFrom, target, conf)
	}
	return "check " + hostFrom + " and the network, and try again; --timeout allows it more time"
}

// refusedHint is for a request that will be refused again as it stands.
func refusedHint(e *exchange.Error, hostFrom, target string, conf *config.Config) string {
	switch {
	case e.Call == exchange.CallWorkspaceToken:
		return "check " + hostFrom + " and the client id, and try again"
	case e.Call == exchange.CallDatabaseCredential && conf != nil && conf.TTL.Given():
		return "check " + conf.TTL.Source.String() + " and " + target + ", and try again"
	}
	return "check " + hostFrom + " and " + target + ", and try again"
}
