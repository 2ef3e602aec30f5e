package pglogin

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The two modes that a login may have, by their libpq names.
const (
	VerifyFull = "verify-full" // chain and host name are checked
	Require    = "require"     // encrypted, nothing is checked
)

// appName is what the server's logs show for our logins.
const appName = "lakebase-exec"

// Bounds on what is read: a bundle of roots has some 200 KB, and what a server
// sends until it is ready for a query a few.
const (
	maxRootCert = 8 << 20
	maxMessage  = 64 << 10
	maxStartup  = 1 << 20
)

// Target is where the login goes, and as whom. Host is one DNS name or one IP
// literal; it is what the certificate must name and what SNI carries. HostAddr,
// if set, is the IP address to dial instead of asking DNS.
type Target struct {
	Host        string
	Port        int
	HostAddr    string
	Database    string
	User        string
	SSLMode     string // VerifyFull or Require
	SSLRootCert string // path of a PEM bundle; empty, and only empty, with Require
}

// check finds what would make the login go elsewhere, or weaker, than it reads.
func (t Target) check() error {
	switch {
	case t.Host == "" || t.User == "" || t.Database == "":
		return bad("host, user and database must be given")
	case strings.ContainsAny(t.Host, ",/\\"):
		return bad("the host must be one DNS name or IP address")
	case t.Port < 1 || t.Port > 65535:
		return bad("the port %d is not between 1 and 65535", t.Port)
	case strings.Contains(t.Host+t.User+t.Database, "\x00"):
		return bad("host, user or database holds a NUL byte")
	case t.SSLMode == VerifyFull && t.SSLRootCert == "":
		return bad("sslmode verify-full needs an sslrootcert")
	case t.SSLMode == Require && t.SSLRootCert != "":
		// libpq would read the two together as verify-ca.
		return bad("sslmode require takes no sslrootcert")
	case t.SSLMode != VerifyFull && t.SSLMode != Require:
		return bad("sslmode %q is neither verify-full nor require", t.SSLMode)
	}
	if _, err := netip.ParseAddr(t.HostAddr); t.HostAddr != "" && err != nil {
		return bad("hostaddr %q is not an IP address", t.HostAddr)
	}
	return nil
}

// connString names every keyword that a PG* variable or a file in the home
// folder could set behind our back (PostgreSQL manual, libpq-connect and
// libpq-envars; pgconn's parseEnvSettings). It holds no password.
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

// config builds what pgconn needs, and checks that it came out as asked: one
// host, TLS, no second way.
func (t Target) config(password credential.Secret, trust *Trust) (*pgconn.Config, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if password.IsZero() || strings.Contains(password.Reveal(), "\x00") {
		return nil, bad("there is no password, or it holds a NUL byte")
	}
	cfg, err := pgconn.ParseConfig(t.connString())
	if err != nil {
		return nil, &Error{Kind: BadTarget, Message: sanitize.Line(err.Error(), password)}
	}
	same := cfg.Host == t.Host && int(cfg.Port) == t.Port && cfg.Database == t.Database && cfg.User == t.User
	if !same || len(cfg.Fallbacks) != 0 || cfg.TLSConfig == nil || cfg.ValidateConnect != nil {
		return nil, bad("host, port, database, user or TLS would not be those asked for")
	}
	if cfg.TLSConfig, err = t.tls(trust); err != nil {
		return nil, err
	}
	cfg.Password = password.Reveal()
	cfg.RuntimeParams = map[string]string{"application_name": appName}
	cfg.ConnectTimeout = 0 // the context rules
	cfg.MaxProtocolMessageBodyLen = maxMessage
	return cfg, nil
}

// tls reads the roots itself: pgconn would read a FIFO or an endless file, and
// its errors do not tell an unreadable bundle from other faults.
func (t Target) tls(trust *Trust) (*tls.Config, error) {
	// Without its small first records: a connection that is handed on carries bulk.
	cfg := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if trust != nil {
		cfg.ClientSessionCache = trust.sessions
	}
	if t.SSLMode == Require {
		cfg.InsecureSkipVerify = true
		return cfg, nil
	}
	var err error
	cfg.RootCAs, err = trust.pool(t.SSLRootCert)
	return cfg, err
}

func readRoots(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRootCert {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", path, maxRootCert)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRootCert))
}

func bad(format string, args ...any) *Error {
	return &Error{Kind: BadTarget, Message: sanitize.Line(fmt.Sprintf(format, args...))}
}
