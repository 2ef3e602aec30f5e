package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// countingListener counts connections, and answers none.
type countingListener struct {
	ln          net.Listener
	connections atomic.Int64
}

func listenAndCount(t *testing.T, network, address string) *countingListener {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	d := &countingListener{ln: ln}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			d.connections.Add(1)
			_ = c.Close()
		}
	}()
	return d
}

// Commands that only print something, and usage errors, make no request:
// neither keychain nor network, and it leaves nothing behind.
func TestCommands_AskNoServer(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newFixture(t, l)
	bus := listenAndCount(t, "unix", filepath.Join(t.TempDir(), "bus"))
	network := listenAndCount(t, "tcp", "127.0.0.1:0")
	_, port, err := net.SplitHostPort(network.ln.Addr().String())
	must(t, err)
	p.set("DBUS_SESSION_BUS_ADDRESS=unix:path="+bus.ln.Addr().String(), "DATABRICKS_HOST=https://localhost:"+port, "PGPORT="+port,
		"HTTPS_PROXY=http://localhost:"+port)
	delete(p.env, "DATABRICKS_CLIENT_SECRET")
	must(t, os.WriteFile(filepath.Join(bin, "not-executable"), []byte("#!/bin/sh\n"), 0o644))
	const exec, helper = "lakebase-exec", "lakebase-credential-helper"
	runs := []struct {
		code int
		says string // on stdout where the code is 0, else on stderr
		argv []string
	}{
		{0, "--wait-timeout", []string{exec, "--help"}},
		{0, "--wait-timeout", []string{exec, "-h"}},
		{0, "lakebase-exec ", []string{exec, "--version"}},
		{0, "PGPASSWORD=<asked at start>", []string{exec, "--print-env", "--cache", "off"}},
		{0, "PGAPPNAME=psql", []string{exec, "--print-env", "--cache", "off", "--", "psql"}},
		{120, "no command is given", []string{exec}},
		{120, "the command goes after --", []string{exec, "psql"}},
		{120, "nonsense", []string{exec, "--nonsense", "--", "true"}},
		{120, "--wait", []string{exec, "--wait", "sometimes", "--", "true"}},
		{120, "--sslmode", []string{exec, "--sslmode", "disable", "--", "true"}},
		{120, "cannot be kept", []string{exec, "--keep", "PGPASSFILE", "--", "true"}},
		{120, "no-such-profile", []string{exec, "--profile", "no-such-profile", "--", "true"}},
		{127, "no-such-command", []string{exec, "--", "no-such-command"}},
		{126, "not-executable", []string{exec, "--", "not-executable"}},
		{0, "login", []string{helper, "--help"}},
		{0, "--secret-stdin", []string{helper, "login", "--help"}},
		{0, "--format", []string{helper, "get", "--help"}},
		{0, helper + " ", []string{helper, "--version"}},
		{0, "complete -F", []string{helper, "completion", "bash"}},
		{0, "", []string{helper, "completion", "profiles"}},
		{0, "one a line", []string{helper, "completion", "--help"}},
		{120, "completion takes one of bash, zsh, fish, profiles", []string{helper, "completion"}},
		{120, "completion takes one of bash, zsh, fish, profiles", []string{helper, "completion", "tcsh"}},
		{120, "no command is given", []string{helper}},
		{120, "nonsense", []string{helper, "nonsense"}},
		{120, "--nonsense", []string{helper, "get", "--nonsense"}},
		{120, "--format", []string{helper, "get", "--format", "nonsense"}},
		{120, "no terminal", []string{helper, "login"}},
	}
	for _, r := range runs {
		o := p.do(r.argv...).wantExit(r.code)
		text := o.stderr
		if r.code == 0 {
			text = o.stdout
		}
		if !strings.Contains(text, r.says) {
			t.Errorf("%v does not say %q:\n%s%s", r.argv, r.says, o.stdout, o.stderr)
		}
		if b, n := bus.connections.Swap(0), network.connections.Swap(0); b+n != 0 {
			t.Errorf("%v asked the bus %d times, the network %d times", r.argv, b, n)
		}
		if r.code == 126 || r.code == 127 {
			_ = os.Remove(filepath.Join(p.run, "lakebase")) // made, but nothing is in it
		}
		for _, dir := range []string{p.run, p.home} {
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Fatalf("%v left %v (%v)", r.argv, left, err)
			}
		}
	}
	t.Run("a run in earnest asks", func(t *testing.T) {
		p.t = t
		p.do(exec, "--", "true").wantExit(121)
		if b, n := bus.connections.Swap(0), network.connections.Swap(0); b == 0 || n != 0 {
			t.Errorf("without a secret the bus was asked %d times, the network %d times", b, n)
		}
		if left, err := os.ReadDir(p.run); err != nil || len(left) == 0 {
			t.Errorf("the runtime folder holds %v (%v)", left, err)
		}
		p.do(exec, "--print-env").wantExit(0)
		if b := bus.connections.Swap(0); b == 0 {
			t.Error("--print-env with the cache did not ask the bus")
		}
		p.set("DATABRICKS_CLIENT_SECRET=" + l.ClientSecret)
		p.do(exec, "--cache", "off", "--timeout", "1s", "--", "true").wantExit(122)
		if b, n := bus.connections.Swap(0), network.connections.Swap(0); b != 0 || n == 0 {
			t.Errorf("with a secret and no cache the bus was asked %d times, the network %d times", b, n)
		}
	})
}
