package e2e

import (
	"fmt"
	"os"
	"strconv"
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

// Once started, the command is the process that the caller knows, with its exit code or
// signal.
func TestExec_SameProcess(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{}))
	r := p.start(p.command("lakebase-exec", "--", "sh", "-c", "echo $$ $PPID; exit 37"))
	wantOutput(t, "sh", r.wait().wantExit(37).stdout, fmt.Sprintf("%d %d\n", r.cmd.Process.Pid, os.Getpid()))
	for _, sig := range append(ending, syscall.SIGKILL, syscall.SIGUSR1) {
		kill := fmt.Sprintf("ulimit -c 0; kill -%d $$", int(sig))
		if o := p.do("lakebase-exec", "--", "sh", "-c", kill); !o.status.Signaled() || o.status.Signal() != sig {
			t.Errorf("ended with %s, want the signal %s", exitStatus(o.status), sig)
		}
		o := p.do("sh", "-c", `lakebase-exec -- sh -c "$1"; echo $?`, "sh", kill).wantExit(0)
		wantOutput(t, "the shell after "+sig.String(), o.stdout, strconv.Itoa(128+int(sig))+"\n")
	}
}

// Signals that nohup and background jobs ignore stay ignored, in the waiting wrapper
// and in the command. internal/process tests the command's mask and dispositions.
func TestSignal_Ignored(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	suspend(t, l, emulator.Held, emulator.Never)
	p := newFixture(t, l)
	p.set(longTimeouts...)
	r := p.start(p.command("sh", "-c", "trap '' INT; exec nohup lakebase-exec --quiet -- grep SigIgn /proc/self/status"))
	eventually(t, "the wrapper waits", func() bool { return l.State() == emulator.Waking })
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		must(t, r.cmd.Process.Signal(sig))
	}
	wakeAtOnce(t, l)
	var ignored uint64
	o := r.wait().wantExit(0)
	if _, err := fmt.Sscanf(o.stdout, "SigIgn: %x", &ignored); err != nil || ignored&0b111 != 1<<(syscall.SIGHUP-1)|1<<(syscall.SIGINT-1) {
		t.Errorf("the command ignores %#x (%v)", ignored, err)
	}
}
