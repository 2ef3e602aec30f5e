package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// packages names the Debian package of each program that a test needs.
var packages = map[string]string{
	"psql": "postgresql-client", "pg_dump": "postgresql-client", "pgbench": "postgresql", "/usr/bin/python3": "python3 and python3-psycopg2",
	"node": "nodejs and npm", "/usr/bin/aws": "awscli", "kubectl": "kubernetes-client", "java": "default-jdk-headless and libpostgresql-jdbc-java",
	"bash": "bash and bash-completion", "dash": "dash", "zsh": "zsh", "fish": "fish", "man": "man-db", "groff": "groff-base",
}

// client looks for a program that a test needs; without it the test fails.
func client(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install Debian's %s", name, packages[name])
	}
	return path
}

// nodeModule fails the test unless a package of test/e2e/node is installed.
func nodeModule(t testing.TB, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node", "node_modules", name)); err != nil {
		t.Fatalf("node's %s is missing: run npm ci in test/e2e/node (%v)", name, err)
	}
}

func absolute(t testing.TB, elem ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(elem...))
	must(t, err)
	return path
}

// script returns a shell script of testdata/attack: another user may not be able to read
// the file.
func script(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "attack", name))
	must(t, err)
	return string(data)
}

const selectWares = `
import psycopg2
cursor = psycopg2.connect("").cursor()
cursor.execute("select current_user, count(*) from wares")
print(*cursor.fetchone())
`

// TestClients runs real commands, each against a compute that sleeps: the
// wrapper wakes it, so that the command's own first login works.
func TestClients(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l)
	p.set(longTimeouts...)
	nodeModule(t, "pg")
	migrate := []string{buildMigrate(t), "-path", absolute(t, "testdata", "migrations"), "-database"}
	me := regexp.QuoteMeta(l.ClientID)
	modes := []emulator.WakeMode{emulator.StartingUp, emulator.Refused, emulator.Reset, emulator.Held, emulator.NoCompute}
	for i, c := range []struct {
		app    string // its application_name
		argv   []string
		code   int
		stdout string // a pattern
		stderr string
		tables string // with "migrate": those that exist afterwards
	}{
		// The table belongs to the service principal, as one of an application does.
		{app: "psql", argv: []string{"psql", "-v", "ON_ERROR_STOP=1", "-qc",
			"create table wares (id int primary key, name text); insert into wares values (1, 'anchor'), (2, 'bell'), (3, 'chart')"}},
		{app: "psql", argv: []string{"psql", "-Atc", "select current_user, current_database(), count(*) from wares"}, stdout: `^` + me + `\|` + emulator.Database + `\|3\n$`},
		{app: "pg_dump", argv: []string{"pg_dump", "--table", "wares"},
			stdout: `(?s)CREATE TABLE public.wares.*OWNER TO "` + me + `".*1\tanchor\n2\tbell\n3\tchart\n\\\.\n.*PostgreSQL database dump complete`},
		{app: "pgbench", argv: []string{"pgbench", "-i", "-q", "-I", "dtgp"}},
		// -C makes a new connection for each transaction, all with one token.
		{app: "pgbench", argv: []string{"pgbench", "-n", "-C", "-c", "2", "-t", "5"}, stdout: `(?s)actually processed: 10/10.*failed transactions: 0 `},
		{app: "migrate", argv: append(slices.Clone(migrate), "postgres:///", "up"), stderr: `1/u orders(?s:.*)2/u customers`, tables: "customers orders"},
		{app: "migrate", argv: append(slices.Clone(migrate), "postgres:///", "down", "-all"), stderr: `2/d customers(?s:.*)1/d orders`},
		{app: "migrate", argv: append(slices.Clone(migrate), "pgx5:///", "up"), stderr: `1/u orders(?s:.*)2/u customers`, tables: "customers orders"},
		{app: "python3", argv: []string{"/usr/bin/python3", "-c", selectWares}, stdout: `^` + me + ` 3\n$`},
		// node does not read PGSSLROOTCERT: a root that the system does not have is named in
		// NODE_EXTRA_CA_CERTS, and without it the login fails, for it is verified.
		{argv: []string{"node", absolute(t, "node", "query.js")}, code: 1, stderr: "certificate"},
		{app: "node", argv: []string{"node", absolute(t, "node", "query.js")}, stdout: `^` + me + ` 3\n$`},
	} {
		client(t, c.argv[0])
		if c.app == "node" {
			p.set("NODE_EXTRA_CA_CERTS=" + l.CAFile())
		}
		suspend(t, l, modes[i%len(modes)], 700*time.Millisecond)
		o := p.do(append([]string{"lakebase-exec", "--"}, c.argv...)...).wantExit(c.code)
		if l.WokenAt().IsZero() || l.UpAt().IsZero() {
			t.Errorf("%v did not wake the compute", c.argv)
		}
		if !regexp.MustCompile(c.stdout).MatchString(o.stdout) || !regexp.MustCompile(c.stderr).MatchString(o.stderr) {
			t.Errorf("%v: got %q and %q, want %q and %q", c.argv, o.stdout, o.stderr, c.stdout, c.stderr)
		}
		logins := slices.DeleteFunc(by(c.app, l.Logins()), func(n emulator.Login) bool { return n.Time.Before(l.UpAt()) })
		if len(logins) == 0 && c.app != "" {
			t.Errorf("%s: the command itself made no login: %+v", c.app, l.Logins())
		}
		for _, n := range logins {
			if c.app != "" && (n.SQLState != "00000" || n.User != l.ClientID || n.Database != emulator.Database) {
				t.Errorf("%s: a login of the command itself: %+v", c.app, n)
			}
		}
		if c.app == "migrate" {
			rows, err := l.SQL(t.Context(), "select tablename from pg_tables where tablename in ('orders', 'customers') order by 1")
			must(t, err)
			if got := strings.Join(slices.Concat(rows...), " "); got != c.tables {
				t.Errorf("%v: got tables %q, want %q", c.argv, got, c.tables)
			}
		}
	}
}

// buildMigrate builds golang-migrate, whose version test/tools holds.
func buildMigrate(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "migrate")
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("..", "tools"), "-tags", "postgres pgx5", "-o", path,
		"github.com/golang-migrate/migrate/v4/cmd/migrate")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building golang-migrate: %v\n%s", err, out)
	}
	return path
}
