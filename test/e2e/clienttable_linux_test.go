package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// asking bounds one question, login and wake included.
const asking = 40 * time.Second

// sqlClient makes a new login for each question, and fails unless it is the service
// principal's.
type sqlClient struct {
	ask  func() error
	done func() error
}

// client is a program in the environment of a supervised command.
func (s *supervised) client(argv ...string) *exec.Cmd {
	s.t.Helper()
	cmd := s.command(argv...)
	cmd.Env = s.env
	return cmd
}

// once is a command that is run for each question.
func (s *supervised) once(argv ...string) *sqlClient {
	path := s.command(argv[0]).Path
	return &sqlClient{func() error {
		ctx, cancel := context.WithTimeout(context.Background(), asking)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, argv[1:]...)
		cmd.Env = s.env
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil || said.Len() > 0 {
			return fmt.Errorf("ended with %v: %s", err, &said)
		}
		return nil
	}, func() error { return nil }}
}

// talk is a program that answers for each line of its input.
func (s *supervised) talk(argv ...string) *sqlClient {
	s.t.Helper()
	cmd := s.client(append(argv, whoAmI+" as answer")...) // node's drivers need a name
	in, err := cmd.StdinPipe()
	must(s.t, err)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	var said bytes.Buffer
	cmd.Stderr = &said
	must(s.t, cmd.Start())
	lines := bufio.NewReader(out)
	return &sqlClient{func() error {
		stuck := time.AfterFunc(asking, func() { _ = cmd.Process.Kill() })
		defer stuck.Stop()
		_, err := in.Write([]byte("\n"))
		answer := ""
		if err == nil {
			answer, err = lines.ReadString('\n')
		}
		if err == nil && answer != s.me() {
			err = fmt.Errorf("got %q, want %q", answer, s.me())
		}
		return err
	}, func() error {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			return fmt.Errorf("ended with %v: %s", err, &said)
		}
		return nil
	}}
}

// tableClients returns the clients of the table, by the name in its first column.
func (s *supervised) tableClients() map[string]*sqlClient {
	python := func(driver string) []string {
		return []string{"/usr/bin/python3", absolute(s.t, "testdata", "clients", "logins.py"), driver}
	}
	node := func(driver string) []string { // some do not read PGSSLROOTCERT; pg announces the removal of PGPASSFILE
		nodeModule(s.t, strings.TrimSuffix(driver, "-url"))
		return []string{"env", "NODE_EXTRA_CA_CERTS=" + s.lakebase.CAFile(), "node", "--no-deprecation", absolute(s.t, "node", "logins.js"), driver}
	}
	clients := map[string]*sqlClient{
		"psql":           s.once("psql", "-XwAtc", whoAmI),
		"`vacuumdb -j`":  s.once("vacuumdb", "-q", "-j", "2", "-t", "vacuumed_a", "-t", "vacuumed_b"),
		"`reindexdb -j`": s.once("reindexdb", "-q", "-j", "2", "-S", "public"),
		"pgbench -C":     s.once("sh", "-c", `echo 'select 1' | pgbench -n -C -c 2 -t 2 -f /dev/stdin`),
	}
	for name, argv := range map[string][]string{
		"psycopg2":                   python("psycopg2"),
		"psycopg 3":                  python("psycopg"),
		"psycopg 3, `pgconn.reset`":  python("reset"),
		"SQLAlchemy":                 python("sqlalchemy"),
		"asyncpg":                    python("asyncpg"),
		"Ruby pg, `conn.reset`":      {"ruby", absolute(s.t, "testdata", "clients", "logins.rb")},
		"PHP, `pg_connection_reset`": {"php", absolute(s.t, "testdata", "clients", "logins.php")},
		"lib/pq":                     {drivers(s.t), "pq"},
		"pgx, `sql.Open`":            {drivers(s.t), "pgx"},
		"pgxpool":                    {drivers(s.t), "pgxpool"},
		"node-postgres":              node("pg"),
		"postgres.js":                node("postgres"),
		"postgres.js, `{node_url}`":  node("postgres-url"),
		"pgjdbc":                     {"java", "-cp", javaJar, absolute(s.t, "testdata", "clients", "Logins.java")},
	} {
		if !strings.Contains(name, "{node_url}") || s.value("NODE_URL") != "" { // which --refresh passfile does not allow
			clients[name] = s.talk(argv...)
		}
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
	s.finish(s.client("psql", "-Xqc", "create table vacuumed_a (id int primary key); create table vacuumed_b (id int primary key)")).wantExit(0)
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
	wantOutput(t, "the supervisor", s.end().stderrWithoutProgress(), "")
	return got
}

// refusals are what a client reports if it uses a token that has expired, or none.
var refusals = regexp.MustCompile(`JWT token has expired|not a valid JWT|no password supplied|password authentication failed|empty password`)

// cell connects once, and again if next says so, and returns what belongs into the table.
func (s *supervised) cell(name string, client *sqlClient, next func() bool) string {
	ask := func() string {
		err := client.ask()
		switch {
		case err == nil:
			return "yes"
		case refusals.MatchString(err.Error()):
			return "**no**"
		}
		s.t.Errorf("%s: %v, want success or a refused token", name, err)
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
	run := func(argv ...string) *result { return s.finish(s.client(argv...)) }
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
