package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// Commands that only print something, and usage errors, make no request:
// neither keychain nor network, and leave nothing behind.
func TestCommands_AskNoServer(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newFixture(t, l)
	bus, err := newListener(context.Background(), "unix", filepath.Join(t.TempDir(), "bus"))
	must(t, err)
	t.Cleanup(bus.stop)
	network, err := newListener(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(network.stop)
	p.set("DBUS_SESSION_BUS_ADDRESS=unix:path="+bus.Addr().String(), "DATABRICKS_HOST=https://localhost:"+network.port(), "PGPORT="+network.port(),
		"HTTPS_PROXY=http://localhost:"+network.port())
	delete(p.env, "DATABRICKS_CLIENT_SECRET")
	write(t, filepath.Join(bin, "not-executable"), "#!/bin/sh\n")
	// run wants an exit code, a text on stdout if the code is 0, else on stderr, and
	// whether the bus and the network are asked.
	run := func(code int, text, line string, asksBus, asksNetwork bool) {
		t.Helper()
		o := p.do(strings.Fields(line)...).wantExit(code)
		if said := map[bool]string{true: o.stdout, false: o.stderr}[code == 0]; !strings.Contains(said, text) {
			t.Errorf("%s: got %q and %q, want %q", line, o.stdout, o.stderr, text)
		}
		if b, n := bus.came.Swap(0), network.came.Swap(0); b > 0 != asksBus || n > 0 != asksNetwork {
			t.Errorf("%s asked the bus %d times, the network %d times", line, b, n)
		}
	}
	for _, r := range []struct {
		code       int
		text, line string
	}{
		{0, "--wait-timeout", "lakebase-exec --help"},
		{0, "lakebase-exec ", "lakebase-exec --version"},
		{0, "PGAPPNAME=psql", "lakebase-exec --print-env --cache off -- psql"},
		{120, "no command is given", "lakebase-exec"},
		{120, "nonsense", "lakebase-exec --nonsense -- true"},
		{120, "--wait", "lakebase-exec --wait sometimes -- true"},
		{120, "no-such-profile", "lakebase-exec --profile no-such-profile -- true"},
		{127, "no-such-command", "lakebase-exec -- no-such-command"},
		{126, "not-executable", "lakebase-exec -- not-executable"},
		{0, "login", "lakebase-credential-helper --help"},
		{0, "--format", "lakebase-credential-helper get --help"},
		{0, "lakebase-credential-helper ", "lakebase-credential-helper --version"},
		{0, "complete -F", "lakebase-credential-helper completion bash"},
		{0, "", "lakebase-credential-helper completion profiles"},
		{120, "completion takes one of bash, zsh, fish, profiles", "lakebase-credential-helper completion"},
		{120, "no command is given", "lakebase-credential-helper"},
		{120, "--format", "lakebase-credential-helper get --format nonsense"},
		{120, "no terminal", "lakebase-credential-helper login"},
	} {
		run(r.code, r.text, r.line, false, false)
		if r.code == 126 || r.code == 127 {
			_ = os.Remove(filepath.Join(p.run, "lakebase")) // made, but nothing is in it
		}
		for _, dir := range []string{p.run, p.home} {
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatalf("%s left %v (%v)", r.line, left, err)
			}
		}
	}
	// The twins: other runs ask.
	run(121, "", "lakebase-exec -- true", true, false)
	run(0, "", "lakebase-exec --print-env", true, false)
	p.set("DATABRICKS_CLIENT_SECRET=" + l.ClientSecret)
	run(122, "", "lakebase-exec --cache off --timeout 1s -- true", false, true)
}
