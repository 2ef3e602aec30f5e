package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// crashSpan is how long a supervisor may live before it is killed: its start, and
// some renewals of a token that lives for crashLife.
const (
	crashSpan = 3 * time.Second / 2
	crashLife = 2 * time.Second
)

// stay gives the corner a place with the secret in its environment, in front of a
// real Postgres.
func (c *crash) stay() {
	c.t.Helper()
	c.place = quarters(c.t, base(c.t, emulator.Options{Switches: emulator.Switches{Latency: crashLatency, DatabaseTokenLife: crashLife}}))
}

// under is a command behind a supervisor that ends with its standard input.
func (c *crash) under(mode string, argv ...string) (*exec.Cmd, io.Closer) {
	c.t.Helper()
	cmd := c.command(append([]string{"lakebase-exec", "--refresh", mode, "--"}, argv...)...)
	feed, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	return cmd, feed
}

// asks is a psql behind a supervisor.
func (c *crash) asks(mode string) *exec.Cmd {
	return c.command("lakebase-exec", "--refresh", mode, "--", "psql", "-XwAtc", whoAmI)
}

// swept runs a supervisor to its end, and wants that nothing is left of those that
// were killed.
func (c *crash) swept(mode string, usual time.Duration) {
	c.t.Helper()
	dir := filepath.Join(c.run, "lakebase")
	c.age(dir)
	if o := c.quick(usual, c.asks(mode)); o.stdout != c.me() || o.unexpected() != "" {
		c.t.Errorf("psql says %q and %q", o.stdout, o.stderr)
	}
	c.tidy(dir)
}

func (c *crash) me() string { return c.base.ClientID + " in " + emulator.Database + "\n" }

// crashPassfile: a supervisor that dies leaves a folder, which the next one clears
// away; its command reads a whole file until the end.
func crashPassfile(c *crash, kills int) {
	c.stay()
	usual := c.finish(c.asks("passfile")).want(0).took
	c.batches(kills, func(int) {
		cmd, feed := c.under("passfile", "cat")
		c.kill(cmd, crashSpan, func() {
			for _, dir := range c.folders() {
				line, err := os.ReadFile(filepath.Join(dir, "passfile"))
				if err == nil && !strings.HasSuffix(string(line), "\n") {
					c.t.Errorf("the password file is cut short: %d bytes", len(line))
				}
			}
			_ = feed.Close()
		})
	}, func() { c.swept("passfile", usual) })
	c.nothingLeft()
}

// crashProxy: what a proxy leaves that dies, with a command or without one, and
// with a session open or not, is cleared away by the next one, which listens at
// the same place. The database is left by all.
func crashProxy(c *crash, kills int) {
	c.stay()
	door := filepath.Join(c.run, "door")
	if err := os.Mkdir(door, 0o700); err != nil {
		c.t.Fatal(err)
	}
	usual := c.finish(c.asks("proxy")).want(0).took
	c.batches(kills, func(i int) {
		if i%2 == 0 {
			cmd, feed := c.under("proxy", "psql", "-XwAtq") // its session is idle
			c.kill(cmd, crashSpan, func() { _ = feed.Close() })
			return
		}
		c.kill(c.command("lakebase-credential-helper", "proxy", "--listen", door, "--trust-local"), crashSpan, nil)
	}, func() {
		c.swept("proxy", usual)
		d := c.proxy("--listen", door, "--trust-local")
		if took := time.Since(d.begin); took > usual+stuck {
			c.t.Errorf("the door is open after %s; a run usually takes %s", took, usual)
		}
		if o := c.finish(c.psqlAt(door, c.base.PGPort(), "")).want(0); o.stdout != c.me() {
			c.t.Errorf("psql says %q", o.stdout)
		}
		d.term()
		c.tidy(door)
		eventually(c.t, fmt.Sprintf("nobody is left at the database after %d kills", c.kills), func() bool { return c.base.Clients() == 0 })
	})
	c.nothingLeft()
}
