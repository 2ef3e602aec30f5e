package pglogin

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The values of Target.SSLMode, by their libpq names.
const (
	VerifyFull = "verify-full" // certificate and host name are checked
	Require    = "require"     // encrypted, but nothing is checked
)

// appName is the application_name of logins that no client asked for.
const appName = "lakebase-exec"

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

// dialHost returns what to dial.
func (t Target) dialHost() string {
	if t.HostAddr != "" {
		return t.HostAddr
	}
	return t.Host
}

// check rejects values that would make the login go elsewhere, or be weaker, than
// they read.
func (t Target) check() error {
	switch {
	case t.Host == "" || t.User == "" || t.Database == "":
		return badTarget("host, user and database must be set")
	case strings.ContainsAny(t.Host, ",/\\"):
		return badTarget("host must be one DNS name or IP address")
	case t.Port < 1 || t.Port > 65535:
		return badTarget("port %d is not between 1 and 65535", t.Port)
	case strings.Contains(t.Host+t.User+t.Database, "\x00"):
		return badTarget("host, user or database contains a NUL byte")
	case t.SSLMode == VerifyFull && t.SSLRootCert == "":
		return badTarget("sslmode verify-full requires sslrootcert")
	case t.SSLMode == Require && t.SSLRootCert != "":
		// libpq would read the two together as verify-ca.
		return badTarget("sslmode require takes no sslrootcert")
	case t.SSLMode != VerifyFull && t.SSLMode != Require:
		return badTarget("sslmode %q is neither verify-full nor require", t.SSLMode)
	}
	if _, err := netip.ParseAddr(t.HostAddr); t.HostAddr != "" && err != nil {
		return badTarget("hostaddr %q is not an IP address", t.HostAddr)
	}
	return nil
}

// connString sets every keyword that a PG* variable or a file in the home
// directory could set (PostgreSQL manual, libpq-connect and libpq-envars; pgconn's
// parseEnvSettings). It holds no password.
func (t Target) connString() string {
	var b strings.Builder
	for _, kv := range [][2]string{
		{"host", t.Host}, {"port", strconv.Itoa(t.Port)}, {"dbname", t.Database}, {"user", t.User},
		{"password", ""}, {"passfile", ""},
		{"sslmode", t.SSLMode}, {"sslrootcert", ""}, {"sslcert", ""}, {"sslkey", ""}, {"sslpassword", ""},
		{"sslcertmode", "disable"}, {"sslsni", "1"}, {"sslnegotiation", "postgres"},
		{"target_session_attrs", "any"}, {"connect_timeout", "0"}, {"channel_binding", "prefer"}, {"require_auth", ""},
		{"min_protocol_version", "3.0"}, {"max_protocol_version", "3.0"}, {"krbsrvname", ""}, {"krbspn", ""},
	} {
		b.WriteString(kv[0] + "='" + escape.Replace(kv[1]) + "' ")
	}
	return b.String()
}

var escape = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// config returns the settings for pgconn, after checking that they came out as
// asked: one host, TLS, no fallback.
func (t Target) config(password credential.Secret, cache *TLSCache) (*pgconn.Config, error) {
	tlsConfig, err := t.tls(cache)
	if err != nil {
		return nil, err
	}
	if password.IsZero() || strings.Contains(password.Reveal(), "\x00") {
		return nil, badTarget("the password is empty or contains a NUL byte")
	}
	cfg, err := pgconn.ParseConfig(t.connString())
	if err != nil {
		return nil, &Error{Kind: BadTarget, Message: sanitize.Line(err.Error(), password)}
	}
	same := cfg.Host == t.Host && int(cfg.Port) == t.Port && cfg.Database == t.Database && cfg.User == t.User
	if !same || len(cfg.Fallbacks) != 0 || cfg.TLSConfig == nil || cfg.ValidateConnect != nil {
		return nil, badTarget("host, port, database, user or TLS settings were not accepted unchanged")
	}
	cfg.TLSConfig, cfg.Password = tlsConfig, password.Reveal()
	cfg.RuntimeParams = map[string]string{"application_name": appName}
	cfg.ConnectTimeout = 0 // the context decides
	cfg.MaxProtocolMessageBodyLen = maxMessage
	return cfg, nil
}

func badTarget(format string, args ...any) *Error {
	return &Error{Kind: BadTarget, Message: sanitize.Line(fmt.Sprintf(format, args...))}
}
