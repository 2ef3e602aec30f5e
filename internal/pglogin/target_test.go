package pglogin

import (
	"context"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// hostileEnvironment sets every variable that pgconn reads, and a home directory
// with its files, to values that lead to addr.
func hostileEnvironment(t *testing.T, addr string) {
	host, port, _ := net.SplitHostPort(addr)
	home := t.TempDir()
	if passfile := filepath.Join(home, ".pgpass"); exec.Command("mkfifo", passfile).Run() != nil { // reading a FIFO would hang
		must(t, os.WriteFile(passfile, []byte("*:*:*:*:stolen\n"), 0o600))
	}
	must(t, os.Mkdir(filepath.Join(home, ".postgresql"), 0o700))
	for _, f := range []string{"postgresql.crt", "postgresql.key", "root.crt"} {
		must(t, os.WriteFile(filepath.Join(home, ".postgresql", f), []byte("junk"), 0o600))
	}
	for k, v := range map[string]string{
		"HOME": home, "PGHOST": host, "PGHOSTADDR": host, "PGPORT": port, "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGPASSFILE": filepath.Join(home, ".pgpass"), "PGAPPNAME": "other", "PGCONNECT_TIMEOUT": "x", "PGSSLMODE": "disable",
		"PGSSLKEY": "/nowhere", "PGSSLCERT": "/nowhere", "PGSSLCERTMODE": "require", "PGSSLSNI": "0", "PGSSLROOTCERT": "/nowhere",
		"PGSSLPASSWORD": "x", "PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "read-write", "PGTZ": "Mars", "PGOPTIONS": "-c x=y",
		"PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "9", "PGCHANNELBINDING": "require", "PGREQUIREAUTH": "scram-sha-256",
		"PGSERVICEFILE": filepath.Join(home, "services"), "PGKRBSRVNAME": "x",
	} {
		t.Setenv(k, v)
	}
	must(t, os.WriteFile(filepath.Join(home, "services"),
		[]byte("[evil]\nhost="+host+"\nport="+port+"\nhostaddr="+host+"\nsslmode=disable\nuser=other\noptions=-c x=y\n"), 0o600))
}

func TestLogin_EnvironmentHasNoEffect(t *testing.T) {
	other := newFakeServer(t, func(_ int, s *session) { s.drain() })
	for _, service := range []string{"", "evil", "missing"} { // a service that exists cannot redirect either
		f := newFakeServer(t, func(_ int, s *session) { acceptLogin(s) })
		target := f.target() // before HOME changes
		if service == "evil" {
			target.Host, target.SSLMode, target.SSLRootCert = "other.example.com", Require, "" // nothing is verified
		}
		hostileEnvironment(t, other.ln.Addr().String())
		if service != "" {
			t.Setenv("PGSERVICE", service)
		}
		err := connector().Login(within(t, testTimeout), target, secret)
		all := f.ended()
		if service == "missing" {
			if wantKind(t, err, BadTarget); len(all) != 0 {
				t.Errorf("missing service: got %d connections, want 0", len(all))
			}
			continue
		}
		must(t, err)
		s := all[0]
		want := map[string]string{"user": "a user", "database": "databricks_postgres", "application_name": "lakebase-exec"}
		if len(all) != 1 || s.password != password || !s.terminated || s.sni != target.Host || !maps.Equal(s.startup, want) {
			t.Errorf("service %q: got %d connections, SNI %q, parameters %v, terminated %v", service, len(all), s.sni, s.startup, s.terminated)
		}
	}
	if n := len(other.ended()); n != 0 {
		t.Errorf("got %d connections to the environment's server, want 0", n)
	}
}

func TestTarget_Rejects(t *testing.T) {
	good := Target{Host: host, Port: 5432, Database: "d", User: "u", SSLMode: Require}
	must(t, good.check())
	for name, change := range map[string]func(*Target){
		"no host":             func(t *Target) { t.Host = "" },
		"two hosts":           func(t *Target) { t.Host = "a,b" },
		"a socket":            func(t *Target) { t.Host = "/run/postgresql" },
		"a Windows path":      func(t *Target) { t.Host = `C:\pg` },
		"a NUL":               func(t *Target) { t.User = "u\x00v" },
		"disable":             func(t *Target) { t.SSLMode = "disable" },
		"verify-ca":           func(t *Target) { t.SSLMode = "verify-ca" },
		"verify-full alone":   func(t *Target) { t.SSLMode = VerifyFull },
		"require with a root": func(t *Target) { t.SSLRootCert = "/x.pem" },
	} {
		target := good
		change(&target)
		if e, ok := target.check().(*Error); !ok || e.Kind != BadTarget {
			t.Errorf("%s: got %v", name, e)
		}
	}
	for _, p := range []string{"", "a\x00b"} {
		wantKind(t, connector().Login(within(t, testTimeout), good, credential.NewSecret(p)), BadTarget)
	}
	wantKind(t, connector().Login(context.Background(), good, secret), BadTarget) // no deadline
}
