package process

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startCommand supervises a command in this process.
func startCommand(t *testing.T, c Command, environ []string) *Supervised {
	t.Helper()
	s, err := Supervise(c, append(environ, "PATH=/bin:/usr/bin"), nil)
	must(t, err)
	t.Cleanup(func() {
		_ = s.Signal(syscall.SIGKILL)
		select {
		case <-s.done:
		case <-time.After(30 * time.Second):
			t.Error("the command does not end")
		}
	})
	return s
}

// Signals reach what the command started, too.
func TestSignals_ProcessGroup(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cmd := exec.CommandContext(t.Context(), self(t), "/bin/sh", "-c", `trap "" TERM; "$0"; exit 5`, self(t))
	cmd.Env = append(os.Environ(), stageEnv+"=supervise", "NEXT=log-signals", "LOG="+string(log))
	must(t, cmd.Start())
	log.waitReady(t, 1)
	must(t, syscall.Kill(cmd.Process.Pid, syscall.SIGTERM))
	_ = cmd.Wait()
	if got := log.signals(); !slices.Equal(got, []string{"SIGTERM"}) || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("got %q, exit code %d", got, cmd.ProcessState.ExitCode())
	}
}

// The supervisor ends as its command did, also by RaiseSignal, which leaves no core.
func TestSupervise_EndsLikeTheCommand(t *testing.T) {
	t.Parallel()
	for _, end := range []string{
		"exit 0", "exit 255", "HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "PIPE", "ALRM", "ABRT", "SEGV", "XCPU", "34",
	} {
		script := end
		if !strings.HasPrefix(end, "exit") {
			script = "ulimit -c 0; kill -" + end + " $$"
		}
		bare := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		_ = bare.Run()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -c unlimited; exec "$0" /bin/sh -c "$1"`, self(t), script)
		cmd.Env, cmd.Dir = append(os.Environ(), stageEnv+"=supervise"), t.TempDir()
		_ = cmd.Run()
		if got, want := cmd.ProcessState.Sys(), bare.ProcessState.Sys(); got != want {
			t.Errorf("%s: got wait status %#x, want %#x", end, got, want)
		}
	}
}

// PID 1 reaps orphans.
func TestSupervise_PID1(t *testing.T) {
	t.Parallel()
	// The script waits for the orphan's end, and then until there are no zombies.
	const script = `orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!')
while grep -q "^State:.[^ZX]" /proc/$orphan/status 2>/dev/null; do sleep 0.01; done
for i in $(seq 1000); do n=$(grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l); [ $n = 0 ] && break; sleep 0.01; done
echo $n; `
	// The kernel does not let PID 1 end by a signal.
	for end, status := range map[string]string{"exit 7": "exit status 7", "kill -TERM $$": "exit status 143"} {
		cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--mount-proc", self(t), "/bin/sh", "-c", script+end)
		cmd.Env = append(os.Environ(), stageEnv+"=supervise", "NO_DUMP=1")
		out, err := cmd.CombinedOutput()
		if string(out) != "0\n" || err == nil || err.Error() != status {
			t.Errorf("%s: got %q, %v; want 0 zombies, %s", end, out, err, status)
		}
	}
}

// A script without "#!" runs by the shell; nothing is left of it: no child and no
// descriptor (goroutines are TestMain's), and neither of a start that fails.
func TestSupervise_LeavesNothing(t *testing.T) {
	path := writeFile(t, t.TempDir(), "script", "exit 3\n", 0o755)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	before := count()
	for range 5 {
		s := startCommand(t, Command{Path: path, Argv: []string{path}}, nil)
		if err := s.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, ErrEnded) {
			t.Error(err)
		}
		if status, err := s.Wait(); err != nil || status != (Status{ExitCode: 3}) || s.PID() != 0 {
			t.Fatalf("got %+v, %v, PID %d", status, err, s.PID())
		}
		if err := s.Signal(syscall.SIGTERM); !errors.Is(err, ErrEnded) {
			t.Errorf("a signal after the end: got %v", err)
		}
		if _, err := Supervise(Command{Path: path + "2", Argv: []string{path}}, nil, nil); !isKind(err, NotFound) {
			t.Errorf("a missing file: got %v", err)
		}
	}
	if after := count(); after > before {
		t.Errorf("got %d descriptors, want %d", after, before)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("child %d is left, %v", pid, err)
	}
}

// A command of the same user, not root, can read its parent only without
// DisableCoreDumps, and is itself dumpable. The command still has its caller's core limit
// and descriptors, also above 2 like a shell's <(...).
func TestDisableCoreDumps(t *testing.T) {
	t.Parallel()
	d, err := os.MkdirTemp("", "process-") // t.TempDir is closed to others
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	data, err := os.ReadFile(self(t))
	must(t, err)
	must(t, os.Chmod(d, 0o755))
	bin := writeFile(t, d, "bin", string(data), 0o755)
	asNobody := func(noDump, command string) string {
		cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", command, bin)
		cmd.Dir, cmd.Env = "/", []string{"NO_DUMP=" + noDump, noExitDelay, stageEnv + "=supervise", "PATH=/bin:/usr/bin"}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	const open = `exec "$0" /bin/sh -c 'for pid in self $PPID; do for f in environ maps mem fd/0; do
		(: </proc/$pid/$f) 2>/dev/null && echo $f; done; done'`
	const own = "environ\nmaps\nmem\nfd/0\n"
	for noDump, want := range map[string]string{"1": own, "": own + own} {
		if out := asNobody(noDump, open); out != want {
			t.Errorf("NO_DUMP=%q: the command can open %q, want %q", noDump, out, want)
		}
	}
	const inherit = `ulimit -S -c 5; echo input | "$0" /bin/sh -c 'ulimit -S -c; cat; cat <&3' 3<<END
three
END`
	if out := asNobody("1", inherit); out != "5\ninput\nthree\n" {
		t.Errorf("got %q", out)
	}
}
