package process

import (
	"context"
	"errors"
	"fmt"
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

// start supervises a script in this process.
func start(t *testing.T, script string) *Supervised {
	t.Helper()
	return startCommand(t, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", script}}, nil)
}

func startCommand(t *testing.T, c Command, environ []string) *Supervised {
	t.Helper()
	s, err := Supervise(t.Context(), c, append(environ, "PATH=/bin:/usr/bin"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Signal(syscall.SIGKILL)
		select {
		case <-s.Done():
		case <-time.After(30 * time.Second):
			t.Error("the command does not end")
		}
	})
	return s
}

// A shell's <(...) is a descriptor above 2.
func TestSupervise_CallersDescriptor(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `"$0" /bin/cat <(echo through)`, self(t))
	cmd.Env = []string{noExitDelay, stageEnv + "=supervise", "NO_DUMP=1"}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "through\n" {
		t.Errorf("got %v: %q", err, out)
	}
}

// Without a terminal all signals are forwarded that should be, and no others.
func TestSignals_NoTerminal(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cmd := detached(t, []string{"NEXT=log-signals", "CATCH=all", "ENDS=7", "LOG=" + string(log)}, self(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, _, _ := log.waitReady(t, 1)
	if group, err := syscall.Getpgid(child); err != nil || group != child {
		t.Errorf("got process group %d, %v; want %d", group, err, child)
	}
	for _, never := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGVTALRM} {
		send(t, cmd.Process.Pid, never)
	}
	want := []string{
		"SIGUSR1", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU",
		"SIGHUP", "SIGINT", "SIGINT", "SIGQUIT", "SIGTERM", "SIGTERM", "SIGTERM",
	}
	for i, name := range want {
		send(t, cmd.Process.Pid, unix.SignalNum(name))
		eventually(t, name, func() bool { return len(log.signals()) > i })
	}
	err := cmd.Wait()
	if got := log.signals(); !slices.Equal(got, want) {
		t.Errorf("the command got %q, want %q", got, want)
	}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGTERM || ws.CoreDump() {
		t.Errorf("got %v, want an end by SIGTERM", err)
	}
}

// Signals reach what the command started, too.
func TestSignals_ProcessGroup(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	cmd := detached(t, []string{"NEXT=log-signals", "LOG=" + string(log)}, "/bin/sh", "-c", `trap "" TERM; "$0"; exit 5`, self(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log.waitReady(t, 1)
	send(t, cmd.Process.Pid, syscall.SIGTERM)
	_ = cmd.Wait()
	if got := log.signals(); !slices.Equal(got, []string{"SIGTERM"}) || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("got %q, exit code %d", got, cmd.ProcessState.ExitCode())
	}
}

// The command ignores the signals that the caller ignores.
func TestSignals_Ignored(t *testing.T) {
	t.Parallel()
	for trap, want := range map[string]string{`trap "" HUP INT`: "0000000000000003", `:`: "0000000000000000"} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", trap+`; exec "$0" /bin/cat /proc/self/status`, self(t))
		cmd.Env = []string{noExitDelay, stageEnv + "=supervise"}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SigIgn:\t"+want) {
			t.Errorf("%s: got %v: %s", trap, err, out)
		}
	}
}

func TestSupervise_EndsLikeTheCommand(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0": "<nil>", "exit 255": "exit status 255", "kill -TERM $$": "signal: terminated", "kill -KILL $$": "signal: killed",
		"kill -SEGV $$": "signal: segmentation fault", "kill -QUIT $$": "signal: quit", "kill -PIPE $$": "signal: broken pipe",
	} {
		if got := fmt.Sprint(detached(t, nil, "/bin/sh", "-c", script).Run()); got != want {
			t.Errorf("%s: got %s, want %s", script, got, want)
		}
	}
}

// RaiseSignal ends the process by each signal, without a core dump.
func TestRaiseSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR1, syscall.SIGPIPE,
		syscall.SIGALRM, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGXCPU, 34,
	} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", fmt.Sprintf(`ulimit -c unlimited; exec "$0" %d`, sig), self(t))
		cmd.Env, cmd.Dir = []string{noExitDelay, stageEnv + "=raise"}, t.TempDir()
		err := cmd.Run()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != sig || ws.CoreDump() {
			t.Errorf("signal %d: got %v", sig, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), self(t), "17") // SIGCHLD
	cmd.Env = []string{noExitDelay, stageEnv + "=raise"}
	if err := cmd.Run(); err == nil || err.Error() != "exit status 145" {
		t.Errorf("SIGCHLD: got %v, want exit status 145", err)
	}
}

// PID 1 reaps orphans.
func TestSupervise_PID1(t *testing.T) {
	t.Parallel()
	// The script waits for the orphan's end, and then until there are as many zombies
	// as expected: the parent of PID 1 may be slow to wait for it.
	const script = `orphan=$(sh -c 'sleep 0.1 >/dev/null & echo $!')
while grep -q "^State:.[^ZX]" /proc/$orphan/status 2>/dev/null; do sleep 0.01; done
for i in $(seq 1000); do n=$(grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l); [ $n = $WANT ] && break; sleep 0.01; done
echo $n; `
	for _, c := range []struct{ pid1, end, want, status string }{
		{"PID1=1", "exit 7", "0\n", "exit status 7"},
		{"PID1=", "exit 7", "1\n", "exit status 7"},
		{"PID1=1", "kill -TERM $$", "0\n", "exit status 143"}, // the kernel does not let PID 1 end by it
	} {
		cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--mount-proc", self(t), "/bin/sh", "-c", script+c.end)
		cmd.Env = append(os.Environ(), stageEnv+"=supervise", "NO_DUMP=1", "WANT="+c.want[:1], c.pid1)
		out, err := cmd.CombinedOutput()
		if string(out) != c.want || err == nil || err.Error() != c.status {
			t.Errorf("%s %s: got %q, %v; want %q, %s", c.pid1, c.end, out, err, c.want, c.status)
		}
	}
}

func TestSupervise_StartFails(t *testing.T) {
	d := t.TempDir()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	touch := Command{Path: "/bin/touch", Argv: []string{"touch", filepath.Join(d, "touched")}}
	for _, c := range []struct {
		ctx     context.Context
		command Command
		want    string
	}{
		{t.Context(), Command{Path: writeFile(t, d, "plain", script, 0o644), Argv: []string{"x"}}, "permission denied"},
		{t.Context(), Command{Path: d + "/gone", Argv: []string{"x"}}, "not found"},
		{t.Context(), Command{Path: "/bin/true"}, "no argv"},
		{canceled, touch, "context canceled"},
	} {
		if _, err := Supervise(c.ctx, c.command, nil, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := os.Stat(d + "/touched"); !os.IsNotExist(err) {
		t.Errorf("a canceled context started the command: %v", err)
	}
}

// A script without "#!" runs by the shell; nothing is left of it: no child and no
// descriptor (goroutines are TestMain's).
func TestSupervise_LeavesNothing(t *testing.T) {
	path := writeFile(t, t.TempDir(), "script", "exit 3\n", 0o755)
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
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
	}
	if after := count(); after > before {
		t.Errorf("got %d descriptors, want %d", after, before)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("child %d is left, %v", pid, err)
	}
}

func TestSupervise_ReleasesSignals(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), self(t))
	cmd.Env = []string{noExitDelay, stageEnv + "=released"}
	if err := cmd.Run(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("got %v, want an end by SIGTERM", err)
	}
}

// Other code in this process has waited for the command.
func TestSupervise_StatusLost(t *testing.T) {
	p := &parent{Supervised: newSupervised(), command: Command{Path: "/bin/true", Argv: []string{"true"}}, caught: catchSignals(false)}
	if err := p.start(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(p.pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if !p.reap() {
		t.Fatal("the command has not ended")
	}
	if _, err := p.Wait(); !errors.Is(err, ErrStatusLost) {
		t.Errorf("got %v, want %v", err, ErrStatusLost)
	}
}

// A command of the same user, not root, can read its parent only without
// DisableCoreDumps, and is itself dumpable. The supervisor still does its work:
// it has the caller's core limit and standard input.
func TestDisableCoreDumps(t *testing.T) {
	t.Parallel()
	d, err := os.MkdirTemp("", "process-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	data, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := writeFile(t, d, "bin", string(data), 0o755)
	asNobody := func(env []string, command string) string {
		cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", command, bin)
		cmd.Dir, cmd.Env = "/", append(env, noExitDelay, stageEnv+"=supervise", "PATH=/bin:/usr/bin")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	for noDump, access := range map[string]string{"1": "denied", "": "open"} {
		out := asNobody([]string{"NEXT=parent-access", "NO_DUMP=" + noDump}, `exec "$0" "$0"`)
		want := "uid 65534 dumpable 1\n"
		for _, file := range []string{"environ", "maps", "mem", "fd/0"} {
			want += file + " " + access + "\n"
		}
		if out != want {
			t.Errorf("NO_DUMP=%q: got %q, want %q", noDump, out, want)
		}
	}
	if out := asNobody([]string{"NO_DUMP=1"}, `ulimit -S -c 5; echo input | "$0" /bin/sh -c 'ulimit -S -c; cat'`); out != "5\ninput\n" {
		t.Errorf("got %q", out)
	}
}
