package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSupervisedHandsOnEverything is TestExecHandsOnEverything for a child.
func TestSupervisedHandsOnEverything(t *testing.T) {
	t.Parallel()
	for report := range reports {
		direct, pid := stage(t, "caller", nil, "direct", report)
		direct = inherited(direct, pid)
		supervised, _ := stage(t, "caller", nil, "supervisor", report)
		for line := range strings.Lines(supervised) {
			if n, ok := strings.CutPrefix(line, "Pid:"); ok {
				pid = atoi(strings.TrimSpace(n))
			}
		}
		supervised = inherited(supervised, pid)
		if direct != supervised {
			t.Errorf("without a supervisor:\n%s\nwith it:\n%s", direct, supervised)
		}
		if report == "cat" && !strings.Contains(supervised, "Max core file size 4096 8192 bytes\nMax resident") {
			t.Errorf("not the caller's core limit:\n%s", supervised)
		}
	}
}

// TestCallersDescriptor: a shell's <(...) is a descriptor above 2, and works.
func TestCallersDescriptor(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `"$0" /bin/cat <(echo through)`, self(t))
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=supervise", "HARDEN=1"}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "through\n" {
		t.Errorf("%v: %q", err, out)
	}
}

// TestSignalsWithoutTerminal sends all that is handed on, one by one, and some
// that is not.
func TestSignalsWithoutTerminal(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cmd := detached(t, []string{"NEXT=count", "COUNT=all", "ENDS=7", "LOG=" + string(log)}, self(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	counter, _, _ := log.ready(t, 1)
	if group, err := syscall.Getpgid(counter); err != nil || group != counter {
		t.Errorf("the command's group is %d, %v", group, err)
	}
	for _, never := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGVTALRM} {
		send(t, cmd.Process.Pid, never)
	}
	want := []string{
		"SIGUSR1", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU",
		"SIGHUP", "SIGINT", "SIGINT", "SIGQUIT", "SIGTERM", "SIGTERM", "SIGTERM",
	}
	for i, name := range want {
		send(t, cmd.Process.Pid, signalNamed(t, name))
		eventually(t, name, func() bool { return len(log.signals()) > i })
	}
	err := cmd.Wait()
	if got := log.signals(); !slices.Equal(got, want) {
		t.Errorf("the command saw %q", got)
	}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGTERM || ws.CoreDump() {
		t.Errorf("the end: %v", err)
	}
}

func signalNamed(t *testing.T, name string) syscall.Signal {
	t.Helper()
	for sig := syscall.Signal(1); sig < 32; sig++ {
		if unix.SignalName(sig) == name {
			return sig
		}
	}
	t.Fatal(name)
	return 0
}

// TestGroupWithoutTerminal: what the command started is signalled with it.
func TestGroupWithoutTerminal(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cmd := detached(t, []string{"NEXT=count", "LOG=" + string(log)}, "/bin/sh", "-c", `trap "" TERM; "$0"; exit 5`, self(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log.ready(t, 1)
	send(t, cmd.Process.Pid, syscall.SIGTERM)
	_ = cmd.Wait()
	if got := log.signals(); !slices.Equal(got, []string{"SIGTERM"}) || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("%q, status %d", got, cmd.ProcessState.ExitCode())
	}
}

// TestNohup: what our caller had us ignore, the command ignores.
func TestNohup(t *testing.T) {
	t.Parallel()
	for trap, want := range map[string]string{`trap "" HUP INT`: "0000000000000003", `:`: "0000000000000000"} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", trap+`; exec "$0" /bin/cat /proc/self/status`, self(t))
		cmd.Env = []string{quick, "CHILD_TEST_STAGE=supervise"}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SigIgn:\t"+want) {
			t.Errorf("%s: %v: %s", trap, err, out)
		}
	}
}

// TestEnds: the caller sees the command's own end.
func TestEnds(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0": "", "exit 7": "exit status 7", "exit 255": "exit status 255",
		"kill -TERM $$": "signal: terminated", "kill -KILL $$": "signal: killed", "kill -SEGV $$": "signal: segmentation fault",
		"kill -QUIT $$": "signal: quit", "kill -USR1 $$": "signal: user defined signal 1", "kill -PIPE $$": "signal: broken pipe",
	} {
		got := ""
		if err := detached(t, nil, "/bin/sh", "-c", script).Run(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, not %q", script, got, want)
		}
	}
}

// TestReleased: after Wait our signals do again what they do to others.
func TestReleased(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), self(t))
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=released"}
	if err := cmd.Run(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("%v", err)
	}
}

// TestPID1 leaves an orphan to the first process of a container.
func TestPID1(t *testing.T) {
	t.Parallel()
	// It waits for the orphan's end, and then until as many zombies are there as are
	// wanted: whoever starts PID 1 may be late to wait for it.
	const script = `orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!')
while grep -q "^State:.[^ZX]" /proc/$orphan/status 2>/dev/null; do sleep 0.01; done
for i in $(seq 1000); do n=$(grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l); [ $n = $WANT ] && break; sleep 0.01; done
echo $n; `
	for _, c := range []struct{ pid1, end, want, status string }{
		{"PID1=1", "exit 7", "0\n", "exit status 7"},
		{"PID1=", "exit 7", "1\n", "exit status 7"},
		{"PID1=1", "kill -TERM $$", "0\n", "exit status 143"}, // the kernel lets no PID 1 die of it
	} {
		cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--mount-proc", self(t), "/bin/sh", "-c", script+c.end)
		cmd.Env = append(os.Environ(), "CHILD_TEST_STAGE=supervise", "HARDEN=1", "WANT="+c.want[:1], c.pid1)
		out, err := cmd.CombinedOutput()
		if string(out) != c.want || err == nil || err.Error() != c.status {
			t.Errorf("%s %s: %q, %v", c.pid1, c.end, out, err)
		}
	}
}

// TestDoesNotStart: the reasons are those of Exec, and nothing stays caught.
func TestDoesNotStart(t *testing.T) {
	d := t.TempDir()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var refused *NotExecutableError
	if _, err := Supervise(t.Context(), Command{Path: put(t, d, "plain", good, 0o644), Argv: []string{"x"}}, nil, Options{}); !errors.As(err, &refused) || refused.Reason != "permission denied" {
		t.Errorf("%v", err)
	}
	var missing *NotFoundError
	if _, err := Supervise(t.Context(), Command{Path: d + "/gone", Argv: []string{"x"}}, nil, Options{}); !errors.As(err, &missing) || !strings.Contains(err.Error(), "went away") {
		t.Errorf("%v", err)
	}
	if _, err := Supervise(t.Context(), Command{Path: "/bin/true"}, nil, Options{}); err == nil || !strings.Contains(err.Error(), "no name") {
		t.Errorf("%v", err)
	}
	touch := Command{Path: "/bin/touch", Argv: []string{"touch", filepath.Join(d, "touched")}}
	if _, err := Supervise(ended, touch, nil, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(d + "/touched"); !os.IsNotExist(err) {
		t.Errorf("a ctx that had ended started something: %v", err)
	}
	s, err := Supervise(t.Context(), touch, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); err != nil || status != (Status{}) {
		t.Errorf("%v, %v", status, err)
	}
	if _, err := os.Stat(d + "/touched"); err != nil {
		t.Error(err)
	}
}

// TestNothingIsLeft: no descriptor and no child; goroutines are TestMain's.
func TestNothingIsLeft(t *testing.T) {
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := count()
	for range 20 {
		s := start(t, "exit 3")
		if err := s.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, ErrEnded) {
			t.Error(err)
		}
		if status, err := s.Wait(); err != nil || status.ExitCode != 3 {
			t.Fatal(status, err)
		}
		<-s.Done()
		if err := s.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) {
			t.Errorf("a signal after the end: %v", err)
		}
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	var ws syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("child %d is left, %v", pid, err)
	}
}

// start supervises a script in this very process.
func start(t *testing.T, script string) *Supervised {
	t.Helper()
	return startWith(t, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", script, self(t)}}, nil)
}

func startWith(t *testing.T, c Command, environ []string) *Supervised {
	t.Helper()
	s, err := Supervise(t.Context(), c, append(environ, "PATH=/bin:/usr/bin"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.Done():
		default:
			_ = s.Signal(syscall.SIGKILL)
			select {
			case <-s.Done():
			case <-time.After(30 * time.Second):
				t.Error("the command does not end")
			}
		}
	})
	return s
}
