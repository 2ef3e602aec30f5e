package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// cancelOnce: Ctrl-C in psql, as the command on a terminal, ends the one statement.
func cancelOnce(t *testing.T) {
	l := startLakebase(t, emulator.Options{})
	p := newSandbox(t, l)
	s := startOnTerminal(p, "lakebase-exec", "--refresh", "proxy", "--", "psql", "-Xn", "-v", "PROMPT1=ready> ", "-v", "PROMPT2=", "-P", "pager=off")
	shown := func(text string, n int) {
		t.Helper()
		eventually(t, "the terminal shows "+text, func() bool { return strings.Count(s.output(), text) == n })
	}
	shown("ready> ", 1)
	s.typeText("select 'pid ' || pg_backend_pid();\n")
	shown("ready> ", 2)
	s.typeText("select pg_sleep(60);\n")
	eventually(t, "the statement runs", func() bool {
		found, err := l.SQL(t.Context(), "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60);'")
		return err == nil && len(found) == 1
	})
	begin := time.Now()
	s.typeText("\x03")
	shown("ready> ", 3)
	took := time.Since(begin)
	t.Logf("cancelled after %s", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("the cancellation took %s", took)
	}
	s.typeText("select 'pid ' || pg_backend_pid();\n")
	shown("ready> ", 4)
	s.typeText("select 6 * 7 as answer;\n")
	shown("ready> ", 5)
	s.typeText("\\q\n")
	if status := s.end(); status != 0 {
		t.Errorf("psql ended with %s", exitStatus(status))
	}
	text := s.output()
	if n := strings.Count(text, "ERROR:  canceling statement due to user request"); n != 1 || !strings.Contains(text, "42") {
		t.Errorf("%d statements were cancelled:\n%s", n, text)
	}
	if pid := afterEach(text, "\n pid "); len(pid) != 2 || pid[0] != pid[1] {
		t.Errorf("the session is another one: %q", pid)
	}
	if n := l.Counters(); n.Cancels != 1 {
		t.Errorf("%d cancel requests came to the database", n.Cancels)
	}
	p.nothingLeft()
}

// afterEach is the words that follow each text.
func afterEach(text, mark string) (words []string) {
	for _, part := range strings.Split(text, mark)[1:] {
		word, _, _ := strings.Cut(part, "\r")
		words = append(words, word)
	}
	return words
}

// proxysClients insist on what they know: encryption, or a URL of their own.
func proxysClients(t *testing.T) {
	l := startLakebase(t, emulator.Options{})
	p := newSandbox(t, l)
	secured := "SSL connection (protocol: TLSv1.3"
	t.Run("sslmode=require with --listen", func(t *testing.T) {
		p.t = t
		o := p.do("lakebase-exec", "--refresh", "proxy", "--listen", "127.0.0.1:0", "--", "psql", "sslmode=require", "-XwAt", "-c", whoAmI, "-c", `\conninfo`).wantExit(0)
		if !strings.HasPrefix(o.stdout, p.me()) || !strings.Contains(o.stdout, secured) {
			t.Errorf("psql says %q", o.stdout)
		}
		o = p.do("lakebase-exec", "--refresh", "proxy", "--listen", "127.0.0.1:0", "--", "psql", "-XwAt", "-c", `\conninfo`).wantExit(0)
		if strings.Contains(o.stdout, "SSL") {
			t.Errorf("without being asked for there is encryption: %q", o.stdout)
		}
	})
	t.Run("sslmode=require with --url-var", func(t *testing.T) {
		p.t = t
		o := p.do("lakebase-exec", "--refresh", "proxy", "--url-var", "DATABASE_URL", "--", "sh", "-c",
			`psql "${DATABASE_URL%%\?*}?sslmode=require" -XwAt -c '\conninfo'`).wantExit(0)
		if !strings.Contains(o.stdout, secured) {
			t.Errorf("psql says %q", o.stdout)
		}
		// A client that verifies certificates must not accept the proxy as the database.
		p.do("lakebase-exec", "--refresh", "proxy", "--url-var", "DATABASE_URL", "--", "sh", "-c",
			`psql "${DATABASE_URL%%\?*}?sslmode=verify-full&sslrootcert=`+l.CAFile()+`" -XwAt -c '\conninfo'`).wantExit(2).wantStderr("certificate verify failed")
	})
	t.Run("pgjdbc by jdbc_url", func(t *testing.T) {
		p.t = t
		o := p.do(append([]string{"lakebase-exec", "--refresh", "proxy", "--set", "THE_URL={jdbc_url}", "--"}, java(t, "Ask", asksJDBC, whoAmI)...)...).wantExit(0)
		wantOutput(t, "pgjdbc", o.stdout, p.me())
	})
	p.t = t
	p.nothingLeft()
}
