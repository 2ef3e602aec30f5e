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

// packages names the Debian package of each client.
var packages = map[string]string{
	"psql":             "the Debian package postgresql-client",
	"pg_dump":          "the Debian package postgresql-client",
	"pgbench":          "the Debian package postgresql (its postgresql-NN holds pgbench)",
	"/usr/bin/python3": "the Debian packages python3 and python3-psycopg2",
	"node":             "the Debian packages nodejs and npm",
}

// client looks for a program that a test needs; without it the test fails.
func client(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install %s", name, packages[name])
	}
	return path
}

// TestClients runs real commands, each against a compute that sleeps: the
// wrapper wakes it, so that the command's own first login works.
func TestClients(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l)
	p.set(longTimeouts...)
	// The table belongs to the service principal, as one of an application does.
	c := &clients{l, p, 0}
	c.wake(t, "psql", "psql", "-v", "ON_ERROR_STOP=1", "-qc",
		"create table wares (id int primary key, name text); insert into wares values (1, 'anchor'), (2, 'bell'), (3, 'chart')")
	t.Run("psql", c.psql)
	t.Run("pg_dump", c.pgDump)
	t.Run("pgbench", c.pgbench)
	t.Run("migrate", c.migrate)
	t.Run("psycopg2", c.psycopg2)
	t.Run("node", c.node)
}

type clients struct {
	lakebase *emulator.Lakebase
	fixture  *fixture
	turn     int
}

// wake suspends the compute, runs argv through lakebase-exec, and checks that the
// compute was woken and that no login of the command itself failed.
func (c *clients) wake(t *testing.T, app string, argv ...string) *result {
	t.Helper()
	o := c.attempt(t, argv...).wantExit(0)
	mine := 0
	for _, n := range c.lakebase.Logins() {
		if n.Application != app || n.Time.Before(c.lakebase.UpAt()) {
			continue
		}
		mine++
		if n.SQLState != "00000" || n.User != c.lakebase.ClientID || n.Database != emulator.Database {
			t.Errorf("%s: a login of the command itself: %+v", app, n)
		}
	}
	if mine == 0 {
		t.Errorf("%s: the command itself made no login: %+v", app, c.lakebase.Logins())
	}
	return o
}

func (c *clients) attempt(t *testing.T, argv ...string) *result {
	t.Helper()
	client(t, argv[0])
	modes := []emulator.WakeMode{emulator.StartingUp, emulator.Refused, emulator.Reset, emulator.Held, emulator.NoCompute}
	suspend(t, c.lakebase, modes[c.turn%len(modes)], 700*time.Millisecond)
	c.turn++
	c.fixture.t = t
	o := c.fixture.do(append([]string{"lakebase-exec", "--"}, argv...)...)
	if c.lakebase.WokenAt().IsZero() || c.lakebase.UpAt().IsZero() {
		t.Errorf("%v did not wake the compute", argv)
	}
	return o
}

func (c *clients) psql(t *testing.T) {
	o := c.wake(t, "psql", "psql", "-Atc", "select current_user, current_database(), count(*) from wares")
	if want := c.lakebase.ClientID + "|" + emulator.Database + "|3\n"; o.stdout != want || o.stderrWithoutProgress() != "" {
		t.Errorf("psql says %q and %q, not %q", o.stdout, o.stderr, want)
	}
}

func (c *clients) pgDump(t *testing.T) {
	o := c.wake(t, "pg_dump", "pg_dump", "--table", "wares")
	for _, want := range []string{"CREATE TABLE public.wares", "1\tanchor\n2\tbell\n3\tchart\n\\.\n", `OWNER TO "` + c.lakebase.ClientID + `"`, "PostgreSQL database dump complete"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the dump has no %q:\n%s", want, o.stdout)
		}
	}
}

// pgbench -C makes a new connection for each transaction, all with one token.
func (c *clients) pgbench(t *testing.T) {
	c.wake(t, "pgbench", "pgbench", "-i", "-q", "-I", "dtgp")
	o := c.wake(t, "pgbench", "pgbench", "-n", "-C", "-c", "2", "-t", "5")
	for _, want := range []string{"number of transactions actually processed: 10/10", "number of failed transactions: 0 (0.000%)"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("pgbench does not say %q:\n%s", want, o.stdout)
		}
	}
	if got := len(c.lakebase.Logins()); got < 11 { // ours, and one for each transaction at the least
		t.Errorf("%d logins; each transaction makes one", got)
	}
}

func (c *clients) migrate(t *testing.T) {
	path := buildMigrate(t)
	folder, err := filepath.Abs(filepath.Join("testdata", "migrations"))
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"postgres:///", "pgx5:///"} {
		o := c.wake(t, "migrate", path, "-database", database, "-path", folder, "up")
		o.wantStderr("1/u orders", "2/u customers")
		c.tables(t, "customers orders")
		o = c.wake(t, "migrate", path, "-database", database, "-path", folder, "down", "-all")
		o.wantStderr("2/d customers", "1/d orders")
		c.tables(t, "")
	}
}

func (c *clients) tables(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	rows, err := c.lakebase.SQL(ctx, "select tablename from pg_tables where tablename in ('orders', 'customers') order by 1")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(slices.Concat(rows...), " "); got != want {
		t.Errorf("the tables are %q, not %q", got, want)
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
	version, err := exec.CommandContext(ctx, "go", "version", "-m", path).Output()
	if err != nil || !regexp.MustCompile(`(?m)^\t(mod|dep)\tgithub\.com/golang-migrate/migrate/v4\tv4\.20\.1\b`).Match(version) {
		t.Fatalf("%s is not golang-migrate v4.20.1 (%v):\n%s", path, err, version)
	}
	return path
}

func (c *clients) psycopg2(t *testing.T) {
	const script = `
import psycopg2
connection = psycopg2.connect("")
cursor = connection.cursor()
cursor.execute("select current_user, count(*) from wares")
print(*cursor.fetchone())
`
	if out, err := exec.Command(client(t, "/usr/bin/python3"), "-c", "import psycopg2").CombinedOutput(); err != nil {
		t.Fatalf("psycopg2 is missing: install %s\n%s", packages["/usr/bin/python3"], out)
	}
	o := c.wake(t, "python3", "/usr/bin/python3", "-c", script)
	if want := c.lakebase.ClientID + " 3\n"; o.stdout != want {
		t.Errorf("psycopg2 says %q, not %q", o.stdout, want)
	}
}

// node knows no PGSSLROOTCERT: a root that the system does not have is named in
// NODE_EXTRA_CA_CERTS, and without it the login fails, for it is verified.
func (c *clients) node(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("node", "query.js"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules", "pg")); err != nil {
		t.Fatalf("the node client is missing: run npm ci in test/e2e/node (%v)", err)
	}
	o := c.attempt(t, "node", script).wantExit(1)
	if !strings.Contains(o.stderr, "certificate") {
		t.Errorf("without the root, node fails for another reason than the certificate:\n%s", o.stderr)
	}
	c.fixture.set("NODE_EXTRA_CA_CERTS=" + c.lakebase.CAFile())
	o = c.wake(t, "node", "node", script)
	if want := c.lakebase.ClientID + " 3\n"; o.stdout != want {
		t.Errorf("node says %q, not %q", o.stdout, want)
	}
}
