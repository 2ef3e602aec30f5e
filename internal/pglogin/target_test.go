package pglogin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func serverSays(code, message string) *Error {
	return fromServer(&pgconn.PgError{Code: code, Message: message}, secret)
}

// hostile sets every variable that pgconn reads, and a home with its files.
func hostile(t *testing.T, stranger string) {
	host, port, _ := net.SplitHostPort(stranger)
	home := t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, ".pgpass"), []byte("*:*:*:*:stolen\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(home, ".postgresql"), 0o700))
	for _, f := range []string{"postgresql.crt", "postgresql.key", "root.crt"} {
		must(t, os.WriteFile(filepath.Join(home, ".postgresql", f), []byte("junk"), 0o600))
	}
	for k, v := range map[string]string{
		"HOME": home, "PGHOST": host, "PGHOSTADDR": host, "PGPORT": port, "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGPASSFILE": filepath.Join(home, ".pgpass"), "PGAPPNAME": "other", "PGCONNECT_TIMEOUT": "x", "PGSSLMODE": "disable", "PGSSLKEY": "/nowhere",
		"PGSSLCERT": "/nowhere", "PGSSLCERTMODE": "require", "PGSSLSNI": "0", "PGSSLROOTCERT": "/nowhere", "PGSSLPASSWORD": "x", "PGSSLNEGOTIATION": "direct",
		"PGTARGETSESSIONATTRS": "read-write", "PGTZ": "Mars", "PGOPTIONS": "-c x=y", "PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "9",
		"PGCHANNELBINDING": "require", "PGREQUIREAUTH": "scram-sha-256", "PGSERVICEFILE": filepath.Join(home, "services"), "PGKRBSRVNAME": "x",
	} {
		t.Setenv(k, v)
	}
	must(t, os.WriteFile(filepath.Join(home, "services"),
		[]byte("[evil]\nhost="+host+"\nport="+port+"\nhostaddr="+host+"\nsslmode=disable\nuser=other\noptions=-c x=y\n"), 0o600))
}

func TestEnvironmentDecidesNothing(t *testing.T) {
	stranger := newFake(t, func(_ int, s *session) { s.drain() })
	for _, service := range []string{"", "evil"} { // a service that exists cannot redirect either
		f := newFake(t, func(_ int, s *session) { welcome(s) })
		target := f.target() // before HOME changes
		hostile(t, stranger.addr)
		if service != "" {
			t.Setenv("PGSERVICE", service)
		}
		must(t, Login(within(t, guard), target, secret))
		seen := f.seen()
		if len(seen) != 1 || seen[0].password != secretText || len(seen[0].startup) != 3 || seen[0].startup["user"] != target.User || seen[0].sni != name {
			t.Errorf("service %q: %d connections, start-up %v", service, len(seen), seen[0].startup)
		}
	}
	if n := len(stranger.seen()); n != 0 {
		t.Errorf("the stranger was asked %d times", n)
	}
}

// The twin: a bare ParseConfig does follow that environment.
func TestEnvironmentWouldDecide(t *testing.T) {
	hostile(t, "127.0.0.1:9")
	t.Setenv("PGCONNECT_TIMEOUT", "")
	t.Setenv("PGMAXPROTOCOLVERSION", "")
	t.Setenv("PGSSLROOTCERT", "")
	cfg, err := pgconn.ParseConfig("sslcert='' sslkey='' sslrootcert=''")
	must(t, err)
	if cfg.Host != "127.0.0.1" || cfg.Port != 9 || cfg.TLSConfig != nil || cfg.User != "other" {
		t.Errorf("got %s:%d", cfg.Host, cfg.Port)
	}
}

func TestAbsentServiceFailsBeforeAnyLogin(t *testing.T) {
	f := newFake(t, func(_ int, s *session) { welcome(s) })
	t.Setenv("PGSERVICE", "absent")
	wantKind(t, Login(within(t, guard), f.target(), secret), BadTarget)
	if n := len(f.seen()); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestBadTargets(t *testing.T) {
	good := Target{Host: name, Port: 5432, Database: "d", User: "u", SSLMode: Require}
	if _, err := good.config(secret, nil); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Target){
		"no host":             func(t *Target) { t.Host = "" },
		"two hosts":           func(t *Target) { t.Host = "a,b" },
		"a socket":            func(t *Target) { t.Host = "/run/postgresql" },
		"a Windows path":      func(t *Target) { t.Host = `C:\pg` },
		"no user":             func(t *Target) { t.User = "" },
		"no database":         func(t *Target) { t.Database = "" },
		"port 0":              func(t *Target) { t.Port = 0 },
		"port 65536":          func(t *Target) { t.Port = 65536 },
		"hostaddr is a name":  func(t *Target) { t.HostAddr = "localhost" },
		"a NUL":               func(t *Target) { t.User = "u\x00v" },
		"prefer":              func(t *Target) { t.SSLMode = "prefer" },
		"disable":             func(t *Target) { t.SSLMode = "disable" },
		"no mode":             func(t *Target) { t.SSLMode = "" },
		"verify-full bare":    func(t *Target) { t.SSLMode = VerifyFull },
		"require with a root": func(t *Target) { t.SSLRootCert = "/x.pem" },
	} {
		target := good
		change(&target)
		_, err := target.config(secret, nil)
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadTarget {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, p := range []string{"", "a\x00b"} {
		_, err := good.config(credential.NewSecret(p), nil)
		wantKind(t, err, BadTarget)
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("db.example.com", 5432, "databricks_postgres", "0b1c-2d")
	f.Add("::1", 1, `d' host='evil`, `u\' sslmode=disable`)
	f.Add("a b", 65535, " \t\n", "o'brien\\")
	f.Add("h\\", 5432, "d\\", "host=x dbname='y")
	f.Fuzz(func(t *testing.T, host string, port int, database, user string) {
		target := Target{Host: host, Port: port, Database: database, User: user, SSLMode: Require}
		checked := target.check()
		cfg, err := target.config(secret, nil)
		if checked == nil && err != nil {
			t.Fatalf("a good target was refused: %v", err)
		}
		if err != nil {
			return
		}
		if cfg.Host != host || int(cfg.Port) != port || cfg.Database != database || cfg.User != user || cfg.Password != secretText {
			t.Fatalf("%+v became %s:%d %q %q", target, cfg.Host, cfg.Port, cfg.Database, cfg.User)
		}
		if len(cfg.Fallbacks) != 0 || cfg.TLSConfig.ServerName != host || len(cfg.RuntimeParams) != 1 || cfg.ChannelBinding == "require" || cfg.RequireAuth != "" {
			t.Fatalf("%+v became %+v", target, cfg)
		}
	})
}

func FuzzServerText(f *testing.F) {
	f.Add("XX000", "Control plane request failed")
	f.Add("", "")
	f.Add("28", secretText[5:])
	f.Fuzz(func(t *testing.T, code, message string) {
		e := serverSays(code, message)
		if e.Kind == 0 || len(e.Message) > sanitize.MaxLine || len(e.Code) != 5 || strings.Contains(e.Error(), secretText[:8]) {
			t.Fatalf("%q %q became %#v", code, message, e)
		}
	})
}

// One login's cost before the first byte, with the system's bundle of roots.
func BenchmarkConfig(b *testing.B) {
	target := Target{Host: name, Port: 5432, Database: "d", User: "u", SSLMode: VerifyFull, SSLRootCert: os.Getenv("ROOTS")}
	if target.SSLRootCert == "" {
		target.SSLRootCert = "/etc/ssl/certs/ca-certificates.crt"
	}
	if _, err := target.config(secret, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = target.config(secret, nil)
	}
}
