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

// crashSpan is how long a supervisor lives at most before it is killed: its start, and
// some refreshes of a token that lives for crashLife.
const (
	crashSpan = 3 * time.Second / 2
	crashLife = 2 * time.Second
)

// useCompute sets the fixture to one with the secret in its environment and a real
// Postgres.
func (c *crash) useCompute() {
	c.t.Helper()
	c.fixture = newSandbox(c.t, startLakebase(c.t, emulator.Options{Settings: emulator.Settings{Latency: crashLatency, DatabaseTokenLife: crashLife}}))
}

// supervisor returns a supervised command that ends with its standard input.
func (c *crash) supervisor(mode string, argv ...string) (*exec.Cmd, io.Closer) {
	c.t.Helper()
	cmd := c.command(append([]string{"lakebase-exec", "--refresh", mode, "--"}, argv...)...)
	feed, err := cmd.StdinPipe()
	must(c.t, err)
	return cmd, feed
}

func (c *crash) psql(mode string) *exec.Cmd {
	return c.command("lakebase-exec", "--refresh", mode, "--", "psql", "-XwAtc", whoAmI)
}

// wantSwept runs a supervisor to its end, and checks that nothing is left of those that
// were killed.
func (c *crash) wantSwept(mode string, usual time.Duration) {
	c.t.Helper()
	dir := filepath.Join(c.run, "lakebase")
	c.makeOld(dir)
	if o := c.wantQuick(usual, c.psql(mode)); o.stdout != c.me() || o.stderrWithoutProgress() != "" {
		c.t.Errorf("psql says %q and %q", o.stdout, o.stderr)
	}
	c.wantTidy(dir)
}

// crashPassfile: the next run removes the directory of a killed supervisor; the command
// reads complete password files until the end.
func crashPassfile(c *crash, kills int) {
	c.useCompute()
	usual := c.finish(c.psql("passfile")).wantExit(0).took
	c.batches(kills, func(int) {
		cmd, feed := c.supervisor("passfile", "cat")
		c.kill(cmd, crashSpan, func() {
			for _, dir := range c.runDirs() {
				line, err := os.ReadFile(filepath.Join(dir, "passfile"))
				if err == nil && !strings.HasSuffix(string(line), "\n") {
					c.t.Errorf("the password file is cut short: %d bytes", len(line))
				}
			}
			_ = feed.Close()
		})
	}, func() { c.wantSwept("passfile", usual) })
	c.nothingLeft()
}

// crashProxy: the next run removes what a killed proxy left, with a command or without,
// with a session open or not, and listens at the same address. No session is left at
// the database.
func crashProxy(c *crash, kills int) {
	c.useCompute()
	socket := filepath.Join(c.run, "socket")
	must(c.t, os.Mkdir(socket, 0o700))
	usual := c.finish(c.psql("proxy")).wantExit(0).took
	c.batches(kills, func(i int) {
		if i%2 == 0 {
			cmd, feed := c.supervisor("proxy", "psql", "-XwAtq") // its session is idle
			c.kill(cmd, crashSpan, func() { _ = feed.Close() })
			return
		}
		c.kill(c.command("lakebase-credential-helper", "proxy", "--listen", socket, "--trust-local"), crashSpan, nil)
	}, func() {
		c.wantSwept("proxy", usual)
		d := c.proxy("--listen", socket, "--trust-local")
		if took := time.Since(d.begin); took > usual+busyMachineAllowance {
			c.t.Errorf("the proxy listens after %s; a run usually takes %s", took, usual)
		}
		if o := c.finish(c.psqlAt(socket, c.lakebase.PGPort(), "")).wantExit(0); o.stdout != c.me() {
			c.t.Errorf("psql says %q", o.stdout)
		}
		d.term(false)
		c.wantTidy(socket)
		eventually(c.t, fmt.Sprintf("no session is left at the database after %d kills", c.kills), func() bool { return c.lakebase.Clients() == 0 })
	})
	c.nothingLeft()
}
