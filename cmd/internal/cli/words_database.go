package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// databaseError is one line about a login that failed.
func databaseError(e *pglogin.Error, conf *config.Config) string {
	where := "the database"
	if conf != nil && conf.PGHost.Value != "" {
		where += " at " + conf.PGHost.Value
	}
	switch e.Kind {
	case pglogin.NotAwake:
	case pglogin.BadTarget, pglogin.BadRootCert, pglogin.NameNotResolved, pglogin.Cancelled:
		return "no login to " + where + " was made: " + said(e)
	default:
		return where + " refused the login: " + said(e)
	}
	tries := "1 attempt"
	if e.Attempts != 1 {
		tries = fmt.Sprintf("%d attempts", e.Attempts)
	}
	text := fmt.Sprintf("%s did not wake in %s (%s)", where, e.Elapsed.Round(100*time.Millisecond), tries)
	if e.Last == nil {
		return text + ": it never answered"
	}
	return text + "; the last answer: " + said(e.Last)
}

func said(e *pglogin.Error) string {
	text := e.Kind.String()
	if e.Message != "" {
		text += ": " + sanitize.Line(e.Message)
	}
	if e.Code != "" && !strings.Contains(text, e.Code) {
		text += " (SQLSTATE " + e.Code + ")"
	}
	return text
}

func databaseHint(e *pglogin.Error, conf *config.Config) string {
	known, thing := config.Config{}, "endpoint"
	known.User.Value, known.Database.Value = "the role", "the database"
	if conf != nil {
		known = *conf
		if conf.Instance.Value != "" {
			thing = "instance"
		}
	}
	if conf != nil && conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "" && (e.Kind == pglogin.Refused || e.Kind == pglogin.TokenInvalid) {
		return "leave --credential workspace out: an endpoint takes database credentials, and no workspace token"
	}
	switch e.Kind {
	case pglogin.NotAwake:
		if e.Last != nil && e.Last.Kind == pglogin.ExternalAuth {
			return "check the project's IP access list; on a project made just now, try again in a minute"
		}
		return "allow it more time with --wait-timeout (get: --wait), and look at the " + thing + "'s state in the console"
	case pglogin.RoleMissing, pglogin.Refused:
		if strings.Contains(e.Message, "SASL") { // what a pooled host says, by whatever name it is reached
			return "check PGHOST or --pghost: a pooled host takes no OAuth roles"
		}
		hint := "as the project's owner: " + RoleSQL(known)
		if known.ClientID.Value != "" && known.User.Value != known.ClientID.Value { // a group's role, or one that does not exist
			hint = "check " + known.User.Source.String() + ": a service principal's own role is its client id; or " + hint
		}
		return hint
	case pglogin.TokenInvalid:
		return "check this machine's clock, and that the workspace owns this database: no token works across workspaces"
	case pglogin.DatabaseMissing:
		return "check the database's name: " + known.Database.Value + " (usually databricks_postgres)"
	case pglogin.ConnectDenied:
		return "as the project's owner: " + ConnectSQL(known)
	case pglogin.EndpointDisabled:
		return "enable the endpoint in the console: no login can wake it"
	case pglogin.EndpointNotFound, pglogin.NameNotResolved:
		return "check PGHOST or --pghost; left out, the workspace is asked for it"
	case pglogin.NotAllowed, pglogin.ExternalAuth:
		return "add this machine's address to the IP access list"
	case pglogin.Certificate:
		return certificateHint(e, "PGHOST or --pghost", "check the host; where a private authority signs it, name its certificate with --sslrootcert")
	case pglogin.BadRootCert:
		return "name a PEM file of root certificates with --sslrootcert"
	case pglogin.TLSRefused, pglogin.Protocol, pglogin.SNIMissing:
		return "check host and port: this is not how a Lakebase endpoint answers"
	}
	return "try again; --verbose tells more"
}

// certificateHint knows the faults of a certificate that no other root would mend.
func certificateHint(err error, hostFrom, otherwise string) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "check " + hostFrom + ": the certificate is another host's"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this machine's clock; where that is right, the server's certificate has to be renewed"
	}
	return otherwise
}
