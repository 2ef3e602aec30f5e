package pglogin

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The values of Target.SSLMode, by their libpq names.
const (
	VerifyFull = "verify-full" // certificate and host name are checked
	Require    = "require"     // encrypted, but nothing is checked
)

// maxMessage bounds one message of the server during a login.
const maxMessage = 64 << 10

// Target is a database and the user to log in as. Host is one DNS name or IP
// address: the certificate must name it, and SNI carries it. HostAddr, if set, is
// the IP address to dial instead of resolving Host.
type Target struct {
	Host        string
	Port        int
	HostAddr    string
	Database    string
	User        string
	SSLMode     string // VerifyFull or Require
	SSLRootCert string // path of a PEM bundle; empty, and only empty, with Require
}

// check rejects values that would make the login go elsewhere, or be weaker, than
// they read.
func (t Target) check() error {
	switch {
	case t.Host == "" || t.User == "" || t.Database == "":
		return t.bad("host, user and database must be set")
	case strings.ContainsAny(t.Host, ",/\\"):
		return t.bad("host must be one DNS name or IP address")
	case strings.Contains(t.Host+t.User+t.Database, "\x00"):
		return t.bad("host, user or database contains a NUL byte")
	case t.SSLMode != VerifyFull && t.SSLMode != Require:
		return t.bad("sslmode %q is neither verify-full nor require", t.SSLMode)
	case (t.SSLMode == VerifyFull) != (t.SSLRootCert != ""): // libpq would read require with a root as verify-ca
		return t.bad("sslmode verify-full requires sslrootcert, and require takes none")
	}
	return nil
}

// settings sets every keyword that a PG* variable or a file in the home directory
// could set (PostgreSQL manual, libpq-connect and libpq-envars; pgconn's
// parseEnvSettings). The values of a target replace the first four.
const settings = "host=localhost port=5432 dbname=none user=none password='' passfile='' " +
	"sslmode=require sslrootcert='' sslcert='' sslkey='' sslpassword='' sslcertmode=disable sslsni=1 sslnegotiation=postgres " +
	"target_session_attrs=any connect_timeout=0 channel_binding=prefer require_auth='' " +
	"min_protocol_version=3.0 max_protocol_version=3.0 krbsrvname='' krbspn=''"

// config checks the target and returns the settings for pgconn: one host, TLS, no
// fallback.
func (c *Connector) config(t Target) (*pgconn.Config, error) {
	tlsConfig, err := c.tlsConfig(t)
	if err != nil {
		return nil, err
	}
	cfg, err := pgconn.ParseConfig(settings)
	if err != nil {
		return nil, t.bad("%v", err)
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User = t.Host, uint16(t.Port), t.Database, t.User
	cfg.TLSConfig, cfg.Fallbacks, cfg.ValidateConnect = tlsConfig, nil, nil
	cfg.ConnectTimeout = 0 // the context decides
	cfg.MaxProtocolMessageBodyLen = maxMessage
	return cfg, nil
}

// bad returns an error for values that cannot be used.
func (t Target) bad(format string, args ...any) *Error {
	return &Error{Kind: BadTarget, Target: t, Message: sanitize.Line(fmt.Sprintf(format, args...))}
}
