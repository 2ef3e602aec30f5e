package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// clientDocs has the table that TestClientTable compares with what clients do.
const clientDocs = "../../docs/clients.md"

// tableClients returns the clients of the table, by the name in its first column.
func (s *supervised) tableClients() map[string]*sqlClient {
	script := func(interpreter, name string, args ...string) func(string) *sqlClient {
		path := absolute(s.t, "testdata", "clients", name)
		return func(app string) *sqlClient {
			argv := append([]string{interpreter, path}, args...)
			return s.talk(app, nil, append(argv, answers)...)
		}
	}
	golang := func(driver string) func(string) *sqlClient {
		return func(app string) *sqlClient { return s.talk(app, nil, drivers(s.t), driver, answers) }
	}
	node := func(driver string) func(string) *sqlClient {
		return func(app string) *sqlClient { return s.nodeAs(app, driver) }
	}
	command := func(argv ...string) func(string) *sqlClient {
		return func(app string) *sqlClient { return s.commandAs(app, argv...) }
	}
	python := func(driver string) func(string) *sqlClient { return script("/usr/bin/python3", "logins.py", driver) }
	java := func(app string) *sqlClient {
		path := absolute(s.t, "testdata", "clients", "Logins.java")
		return s.talk(app, nil, "java", "-cp", javaJar, path, answers)
	}
	clients := map[string]*sqlClient{}
	for name, start := range map[string]func(string) *sqlClient{
		"psql":                       s.psqlAs,
		"`vacuumdb -j`":              command("vacuumdb", "-q", "-j", "2", "-t", "vacuumed_a", "-t", "vacuumed_b"),
		"`reindexdb -j`":             command("reindexdb", "-q", "-j", "2", "-S", "public"),
		"pgbench -C":                 command("sh", "-c", `echo 'select 1' | pgbench -n -C -c 2 -t 2 -f /dev/stdin`),
		"psycopg2":                   python("psycopg2"),
		"psycopg 3":                  python("psycopg"),
		"psycopg 3, `pgconn.reset`":  python("reset"),
		"SQLAlchemy":                 python("sqlalchemy"),
		"asyncpg":                    python("asyncpg"),
		"Ruby pg, `conn.reset`":      script("ruby", "logins.rb"),
		"PHP, `pg_connection_reset`": script("php", "logins.php"),
		"lib/pq":                     golang("pq"),
		"pgx, `sql.Open`":            golang("pgx"),
		"pgxpool":                    golang("pgxpool"),
		"node-postgres":              node("pg"),
		"postgres.js":                node("postgres"),
		"postgres.js, `{node_url}`":  node("postgres-url"),
		"pgjdbc":                     java,
	} {
		if strings.Contains(name, "{node_url}") && s.value("NODE_URL") == "" {
			continue // --refresh passfile does not allow it
		}
		clients[name] = start(strings.NewReplacer(" ", "-", "`", "", ",", "").Replace(name))
	}
	return clients
}

// TestClientTable runs each client of the table in docs/clients.md in each mode: it
// connects, and connects again when its first token has expired and the compute is
// suspended. Without --refresh it connects once. The table must say what happened.
func TestClientTable(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string]map[string]string{} // by client and mode
	modes := []string{"default", config.RefreshPassfile, config.RefreshProxy}
	t.Run("modes", func(t *testing.T) {
		for _, mode := range modes {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				for name, cell := range runClients(t, mode) {
					mu.Lock()
					if got[name] == nil {
						got[name] = map[string]string{}
					}
					got[name][mode] = cell
					mu.Unlock()
				}
			})
		}
	})
	data, err := os.ReadFile(clientDocs)
	must(t, err)
	_, table, found := strings.Cut(string(data), "\n| client | default | passfile | proxy |\n")
	if !found {
		t.Fatalf("no table in %s", clientDocs)
	}
	documented := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if len(cells) != 1+len(modes) {
			break
		}
		name := strings.TrimSpace(cells[0])
		for i, mode := range modes {
			want, ran := got[name][mode]
			if !ran {
				want = "not run"
			}
			if cell := strings.TrimSpace(cells[i+1]); name != "---" && !strings.HasPrefix(cell, want) {
				t.Errorf("%s: the table has %q for %s, want %q", name, cell, mode, want)
			}
		}
		if got[name] != nil {
			documented++
		}
	}
	if documented != len(got) {
		t.Errorf("the table has %d of %d clients", documented, len(got))
	}
}

// runClients returns the cells of one mode.
func runClients(t *testing.T, mode string) map[string]string {
	life := shortLife
	if mode == "default" {
		life = time.Hour
	}
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}})
	options := []string{"--refresh", mode, "--set", "JDBC_URL={jdbc_url}", "--set", "NODE_URL={node_url}"}
	switch mode {
	case "default":
		options = options[2:]
	case config.RefreshPassfile: // without the password, which {jdbc_url} and {node_url} have
		options = []string{"--refresh", mode, "--set", "JDBC_URL=jdbc:postgresql://{host}:{port}/{database}?user={user}&sslmode=verify-full&sslrootcert=" + l.CAFile()}
	}
	p := newSandbox(t, l)
	p.set(longTimeouts...)
	s := p.supervise(options...)
	s.finish(s.client("psql", "psql", "-Xqc", "create table vacuumed_a (id int primary key); create table vacuumed_b (id int primary key)")).wantExit(0)
	cells := make(chan [2]string, 100)
	var all sync.WaitGroup
	var asked, expired sync.WaitGroup
	clients := s.tableClients()
	asked.Add(len(clients))
	expired.Add(1)
	for name, client := range clients {
		all.Go(func() {
			cells <- [2]string{name, s.cell(name, client, func() bool {
				asked.Done()
				expired.Wait()
				return mode != "default"
			})}
		})
	}
	cells <- [2]string{"`pg_restore -j`", s.restore(life)} // before the compute is suspended
	asked.Wait()
	if mode != "default" {
		time.Sleep(life + time.Second) // all have connected with tokens that have expired now
		suspend(t, l, emulator.Held, 700*time.Millisecond)
	}
	expired.Done()
	all.Wait()
	close(cells)
	got := map[string]string{}
	for c := range cells {
		got[c[0]] = c[1]
	}
	s.end()
	return got
}

// refusals are what a client reports if it uses a token that has expired, or none.
var refusals = regexp.MustCompile(`JWT token has expired|not a valid JWT|no password supplied|password authentication failed|empty password`)

// cell connects once, and again if next says so, and returns what belongs into the table.
func (s *supervised) cell(name string, client *sqlClient, next func() bool) string {
	want := s.lakebase.ClientID + " in " + emulator.Database
	ask := func() string {
		answer, err := client.ask()
		switch answer = strings.TrimSuffix(answer, "\n"); {
		case err == nil && answer == want:
			return "yes"
		case refusals.MatchString(fmt.Sprint(answer, err)):
			return "**no**"
		}
		s.t.Errorf("%s: got %q (%v), want %q or a refused token", name, answer, err, want)
		return "failed"
	}
	cell := ask()
	if next() && cell == "yes" {
		cell = ask()
	}
	if err := client.done(); err != nil {
		s.t.Errorf("%s: %v", name, err)
	}
	return cell
}

// restore runs a pg_restore of two jobs, which connects again after its first part.
// That part lasts longer than the first token lives.
func (s *supervised) restore(life time.Duration) string {
	dump := filepath.Join(s.t.TempDir(), "dump")
	pause := 0.0
	if life == shortLife {
		pause = (life + 2*time.Second).Seconds()
	}
	run := func(argv ...string) *result { return s.finish(s.client("pg_restore", argv...)) }
	run("psql", "-Xqc", "create schema restored; create table restored.t as select 1 as id").wantExit(0)
	run("pg_dump", "-Fd", "-f", dump, "-n", "restored").wantExit(0)
	run("psql", "-Xqc", "drop schema restored cascade").wantExit(0)
	_, err := s.lakebase.SQL(s.t.Context(), fmt.Sprintf(`create function public.pause() returns event_trigger language plpgsql as
		$$ begin if tg_tag = 'CREATE TABLE' then perform pg_sleep(%f); end if; end $$;
		create event trigger pause on ddl_command_end execute function public.pause()`, pause))
	must(s.t, err)
	r := run("pg_restore", "-j", "2", "-d", emulator.Database, dump)
	switch {
	case r.status.ExitStatus() == 0:
		return "yes"
	case strings.Contains(r.stderr, "JWT token has expired"):
		return "**no**"
	}
	s.t.Errorf("pg_restore: exit %d: %s", r.status.ExitStatus(), r.stderr)
	return "failed"
}
