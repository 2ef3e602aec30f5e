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
	silent.set(longTimeouts...)
	waits := []struct {
		name  string
		place func(t *testing.T) *fixture
		there func() bool
	}{
		{"at the wake", func(t *testing.T) *fixture {
			suspend(t, asleep, emulator.Held, emulator.Never)
			return longTimeoutsFixture(t, asleep)
		}, func() bool { return asleep.State() == emulator.Waking }},
		{"at the exchange", func(t *testing.T) *fixture {
			slow.ResetCounters()
			return longTimeoutsFixture(t, slow)
		}, func() bool { return slow.Counters().Handshakes > 0 }},
		{"at the keychain", func(t *testing.T) *fixture {
			silent.t = t
			return silent
		}, nil},
	}
	for _, w := range waits {
		for _, sig := range ending {
			t.Run(w.name+" "+sig.String(), func(t *testing.T) {
				p := w.place(t)
				there := w.there
				if there == nil {
					before := calls(p.keyring)
					there = func() bool { return calls(p.keyring) > before }
				}
				interrupted(t, p, sig, there)
			})
		}
	}
}

// longTimeoutsFixture returns a fixture in which waits do not time out.
func longTimeoutsFixture(t *testing.T, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := newFixture(t, l)
	p.set(longTimeouts...)
	return p
}

func calls(d *testkeyring.Desktop) (n int) {
	for _, c := range d.Calls() {
		n += c
	}
	return n
}

func interrupted(t *testing.T, p *fixture, sig syscall.Signal, there func() bool) {
	t.Helper()
	dir := t.TempDir()
	// A core would be written here: the limit is what the user may have set.
	cmd := p.command("sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec lakebase-exec -- touch started`)
	cmd.Dir = dir
	r := p.start(cmd)
	eventually(t, "the wrapper waits", there)
	time.Sleep(50 * time.Millisecond)
	must(t, cmd.Process.Signal(sig))
	o := r.wait()
	if !o.status.Signaled() || o.status.Signal() != sig {
		t.Errorf("ended with %s, not by the signal %s", exitStatus(o.status), sig)
	}
	if o.status.CoreDump() {
		t.Error("it left a core")
	}
	if o.stdout != "" || o.stderrWithoutProgress() != "" {
		t.Errorf("stdout %q, stderr %q; wanted is nothing", o.stdout, o.stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v (%v)", left, err)
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
				p := longTimeoutsFixture(t, l)
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
				if left, err := os.ReadDir(c.Dir); err != nil || len(left) != 0 {
					t.Errorf("it left %v (%v)", left, err)
				}
			})
		}
	}
}

// Once started, the command is the process that the caller knows.
func TestExec_SameProcess(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{}))
	t.Run("pid", func(t *testing.T) {
		p.t = t
		r := p.start(p.command("lakebase-exec", "--", "sh", "-c", "echo $$ $PPID"))
		o := r.wait().wantExit(0)
		if want := fmt.Sprintf("%d %d\n", r.cmd.Process.Pid, os.Getpid()); o.stdout != want {
			t.Errorf("pid and parent are %q, not %q", o.stdout, want)
		}
	})
	t.Run("exit code", func(t *testing.T) {
		p.t = t
		for _, code := range []int{1, 37, 123, 255} {
			p.do("lakebase-exec", "--", "sh", "-c", "exit "+strconv.Itoa(code)).wantExit(code)
		}
	})
	t.Run("signal", func(t *testing.T) {
		p.t = t
		for _, sig := range append(ending, syscall.SIGKILL, syscall.SIGUSR1) {
			kill := fmt.Sprintf("kill -%d $$", int(sig))
			if o := p.do("lakebase-exec", "--", "sh", "-c", "ulimit -c 0; "+kill); !o.status.Signaled() || o.status.Signal() != sig {
				t.Errorf("ended with %s, not by the signal %s", exitStatus(o.status), sig)
			}
			o := p.do("sh", "-c", `lakebase-exec -- sh -c "$1"; echo $?`, "sh", "ulimit -c 0; "+kill).wantExit(0)
			if want := strconv.Itoa(128+int(sig)) + "\n"; o.stdout != want {
				t.Errorf("sh sees %q after %s, not %q", o.stdout, sig, want)
			}
		}
	})
}

// Signals that nohup and background jobs ignore stay ignored, in the waiting wrapper
// and in the command.
func TestSignal_Ignored(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	const show = "grep SigIgn /proc/self/status"
	t.Run("kept", func(t *testing.T) {
		p := newFixture(t, l)
		for trap, want := range map[string][]syscall.Signal{"": nil, "trap '' INT HUP; ": {syscall.SIGINT, syscall.SIGHUP}} {
			o := p.do("sh", "-c", trap+"exec lakebase-exec -- "+show).wantExit(0)
			if got := ignored(t, o.stdout); got != mask(want) {
				t.Errorf("the command ignores %#x, not %#x", got, mask(want))
			}
		}
	})
	t.Run("while it waits", func(t *testing.T) {
		suspend(t, l, emulator.Held, emulator.Never)
		p := longTimeoutsFixture(t, l)
		r := p.start(p.command("sh", "-c", "trap '' INT; exec nohup lakebase-exec --quiet -- "+show))
		eventually(t, "the wrapper waits", func() bool { return l.State() == emulator.Waking })
		for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
			must(t, r.cmd.Process.Signal(sig))
		}
		wakeAtOnce(t, l)
		o := r.wait().wantExit(0)
		if got, want := ignored(t, o.stdout), mask([]syscall.Signal{syscall.SIGHUP, syscall.SIGINT}); got != want {
			t.Errorf("the command ignores %#x, not %#x", got, want)
		}
	})
}

// ignored reads the line SigIgn of /proc/PID/status, as far as the signals that
// we speak of.
func ignored(t *testing.T, line string) uint64 {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 2 || fields[0] != "SigIgn:" {
		t.Fatalf("not the line: %q", line)
	}
	bits, err := strconv.ParseUint(fields[1], 16, 64)
	must(t, err)
	return bits & mask(ending)
}

func mask(signals []syscall.Signal) (bits uint64) {
	for _, s := range signals {
		bits |= 1 << (s - 1)
	}
	return bits
}
