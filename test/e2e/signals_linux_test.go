package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

var ending = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// Before the command is started, a signal that ends processes ends the wrapper:
// by that very signal, wherever it waits, with nothing said and no core.
func TestSignal_BeforeStart(t *testing.T) {
	t.Parallel()
	asleep := startLakebase(t, emulator.Options{})
	slow := startLakebase(t, emulator.Options{NoPostgres: true, Settings: emulator.Settings{Latency: time.Hour}})
	silent := newKeyringFixture(t, slow, testkeyring.Silent)
	for _, w := range []struct {
		name  string
		setUp func(t *testing.T) *fixture
		there func() int // counts up once the wrapper waits
	}{
		{"at the wake", func(t *testing.T) *fixture {
			suspend(t, asleep, emulator.Held, emulator.Never)
			return newFixture(t, asleep)
		}, func() int { return asleep.Counters().Wakes }},
		{"at the exchange", func(t *testing.T) *fixture { return newFixture(t, slow) }, func() int { return slow.Counters().Handshakes }},
		{"at the keychain", func(t *testing.T) *fixture { return silent.of(t) }, func() int { return calls(silent.keyring) }},
	} {
		for _, sig := range ending {
			t.Run(w.name+" "+sig.String(), func(t *testing.T) {
				p, dir := w.setUp(t), t.TempDir()
				p.set(longTimeouts...)
				before := w.there()
				// A core would be written to dir: the limit is what the user may have set.
				cmd := p.command("sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec lakebase-exec -- touch started`)
				cmd.Dir = dir
				r := p.start(cmd)
				eventually(t, "the wrapper waits", func() bool { return w.there() > before })
				time.Sleep(50 * time.Millisecond)
				must(t, cmd.Process.Signal(sig))
				o := r.wait()
				if !o.status.Signaled() || o.status.Signal() != sig || o.status.CoreDump() {
					t.Errorf("ended with %s, want the signal %s and no core", exitStatus(o.status), sig)
				}
				if o.stdout != "" || o.stderrWithoutProgress() != "" {
					t.Errorf("got stdout %q, stderr %q, want nothing", o.stdout, o.stderr)
				}
				wantEmpty(t, dir)
			})
		}
	}
}

func calls(d *testkeyring.Desktop) (n int) {
	for _, c := range d.Calls() {
		n += c
	}
	return n
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%s holds %v (%v)", dir, left, err)
	}
}

// As PID 1, which the kernel lets no signal end, the exit code is that of a shell: of
// each program in each mode.
func TestSignal_BeforeStartAsPID1(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true, Settings: emulator.Settings{Latency: time.Hour}})
	for name, argv := range map[string][]string{
		"exec":     {"lakebase-exec", "--", "touch", "started"},
		"passfile": {"lakebase-exec", "--refresh", "passfile", "--", "touch", "started"},
		"proxy":    {"lakebase-exec", "--refresh", "proxy", "--on-refresh", "restart", "--", "touch", "started"},
		"get":      {"lakebase-credential-helper", "get"},
		"get-wait": {"lakebase-credential-helper", "get", "--wait", "5m"},
		"doctor":   {"lakebase-credential-helper", "doctor"},
	} {
		for _, sig := range ending {
			t.Run(name+" "+sig.String(), func(t *testing.T) {
				l.ResetCounters()
				p := newFixture(t, l)
				p.set(longTimeouts...)
				c := p.command(argv...)
				c.Dir = t.TempDir()
				c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
				r := p.start(c)
				eventually(t, "the program waits", func() bool { return l.Counters().Handshakes > 0 })
				must(t, c.Process.Signal(sig))
				o := r.wait().wantExit(128 + int(sig))
				if strings.Contains(o.stderr, "goroutine") {
					t.Errorf("it shows stacks: %s", o.stderr)
				}
				wantEmpty(t, c.Dir)
			})
		}
	}
}
