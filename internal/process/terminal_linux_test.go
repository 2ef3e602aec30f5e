package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// test/e2e's TestJobControl covers what each key and signal does in bash and dash;
// here are the cases that need a command of our own.

const prompt = "pr0mpt> "

// terminal is a program on a pseudo-terminal of its own.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	log    journal
	sync.Mutex
	out  strings.Builder
	done chan struct{} // closed when the terminal is
}

func openTerminal(t *testing.T, name string, args ...string) *terminal {
	t.Helper()
	x := &terminal{t: t, cmd: exec.Command(name, args...), log: newJournal(t), done: make(chan struct{})}
	x.cmd.Env = []string{noExitDelay, "PS1=" + prompt, "TERM=dumb", "PATH=/bin:/usr/bin", "LOG=" + string(x.log), "HISTFILE=", "BIN=" + self(t)}
	master, err := pty.Start(x.cmd)
	if err != nil {
		t.Fatal(err)
	}
	// A read is interrupted by Close only for a descriptor in Go's poller.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, unix.SetNonblock(fd, true), master.Close()); err != nil {
		t.Fatal(err)
	}
	x.master = os.NewFile(uintptr(fd), "master")
	go func() {
		defer close(x.done)
		buf := make([]byte, 4096)
		for {
			n, err := x.master.Read(buf)
			x.Lock()
			x.out.Write(buf[:n])
			x.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = x.master.Close()
		_ = x.cmd.Process.Kill()
		_ = x.cmd.Wait()
		<-x.done
		if t.Failed() {
			t.Logf("the terminal: %q", x.output())
		}
	})
	return x
}

func openShell(t *testing.T) *terminal {
	t.Helper()
	x := openTerminal(t, "bash", "--norc", "--noprofile", "--noediting", "-i")
	x.waitPrompt(1)
	return x
}

func (x *terminal) output() string {
	x.Lock()
	defer x.Unlock()
	return x.out.String()
}

func (x *terminal) waitFor(text string) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("%q on the terminal", text), func() bool { return strings.Contains(x.output(), text) })
}

// waitPrompt waits for the n-th prompt, and for the shell to be in the foreground.
func (x *terminal) waitPrompt(n int) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("prompt %d", n), func() bool { return strings.Count(x.output(), prompt) >= n })
	x.waitForeground(x.cmd.Process.Pid)
}

func (x *terminal) waitForeground(pid int) {
	x.t.Helper()
	eventually(x.t, "the foreground", func() bool { return x.foreground() == pid })
}

func (x *terminal) foreground() (group int) {
	raw, err := x.master.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return group
}

func (x *terminal) typeText(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// run types a supervised command that logs signals, and returns the PIDs of the
// supervisor and the command.
func (x *terminal) run(before, after string) (supervisor, command int) {
	x.t.Helper()
	x.typeText(before + stageEnv + `=supervise NO_DUMP=1 NEXT=log-signals "$BIN" "$BIN"` + after + "\n")
	pid, ppid, _ := x.log.waitReady(x.t, 1)
	return ppid, pid
}

// status returns the shell's $?.
func (x *terminal) status() string {
	x.t.Helper()
	x.typeText("echo st''atus=$?,\n") // quoted, so that the echo of our typing differs
	var code string
	eventually(x.t, "the status", func() bool {
		_, rest, _ := strings.Cut(x.output(), "status=")
		var ok bool
		code, _, ok = strings.Cut(rest, ",")
		return ok
	})
	return code
}

// catches reads proc(5)'s SigCgt.
func catches(pid int, sig syscall.Signal) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "SigCgt:\t")
	hex, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(hex, 16, 64)
	return err == nil && mask&(1<<(sig-1)) != 0
}

// A session leader, as in a container with a terminal, is the only process that the
// kernel signals on a hang-up.
func TestTerminal_SessionLeader(t *testing.T) {
	t.Parallel()
	x := openTerminal(t, "/usr/bin/env", stageEnv+"=supervise", "NEXT=log-signals", self(t), self(t))
	command, supervisor, _ := x.log.waitReady(t, 1)
	if supervisor != x.cmd.Process.Pid {
		t.Fatalf("got leader %d, want %d", x.cmd.Process.Pid, supervisor)
	}
	send(t, supervisor, syscall.SIGUSR2)
	x.log.waitSignal(t, "SIGUSR2")
	if err := x.master.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{supervisor, command} {
		eventually(t, "the end", func() bool { s := state(pid); return s == 0 || s == 'Z' })
	}
	// The kernel sends another SIGHUP when the leader ends: the command has ended by then.
	if got := x.log.signals(); !slices.Equal(got, []string{"SIGUSR2", "SIGHUP"}) {
		t.Errorf("the command got %q", got)
	}
}

// A command that handles Ctrl-Z is done with the terminal before the shell resumes.
func TestTerminal_StopsAfterCommand(t *testing.T) {
	t.Parallel()
	x := openShell(t)
	supervisor, command := x.run("CATCH=tstp ", "")
	x.typeText("\x1a")
	x.waitPrompt(2)
	if got := x.log.lines(); !slices.Contains(got, "restored") {
		t.Errorf("the prompt is back before the command was ready: %q", got)
	}
	// Continued alone, the supervisor continues the command.
	send(t, supervisor, syscall.SIGCONT)
	x.log.waitSignal(t, "SIGCONT")
	x.typeText("fg\n")
	x.waitForeground(supervisor)
	// When the command is stopped alone, the shell gets its terminal all the same.
	send(t, command, syscall.SIGSTOP)
	x.waitPrompt(3)
	x.typeText("fg\n")
	x.waitForeground(supervisor)
	eventually(t, "the continued command", func() bool { return state(command) != 'T' && catches(supervisor, syscall.SIGTSTP) })
	x.typeText("\x1a") // as the first time
	x.waitPrompt(4)
	if got := x.log.lines(); got[len(got)-1] != "restored" {
		t.Errorf("the second time: got %q", got)
	}
	x.typeText("fg\n")
	x.waitForeground(supervisor)
	eventually(t, "the continued command", func() bool { return state(command) != 'T' })
	x.typeText("\x03")
	x.waitPrompt(5)
	if got := x.status(); got != "130" {
		t.Errorf("got status %s, want 130", got)
	}
	got := slices.DeleteFunc(x.log.signals(), func(s string) bool { return s == "SIGCONT" })
	if !slices.Equal(got, []string{"SIGTSTP", "SIGTSTP", "SIGINT"}) {
		t.Errorf("the command got %q", got)
	}
}

// In the background the terminal cannot have sent SIGINT, so it is forwarded. In
// the foreground it is not, while SIGHUP and SIGUSR1 are.
func TestTerminal_SignalsFromProcess(t *testing.T) {
	t.Parallel()
	x := openShell(t)
	supervisor, _ := x.run("", " &")
	x.waitPrompt(2)
	send(t, supervisor, syscall.SIGINT)
	x.log.waitSignal(t, "SIGINT")
	eventually(t, "the end", func() bool { return state(supervisor) == 0 })
	if err := os.Remove(string(x.log)); err != nil {
		t.Fatal(err)
	}
	supervisor, _ = x.run("", "")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGUSR1} {
		send(t, supervisor, sig)
	}
	x.log.waitSignal(t, "SIGUSR1")
	send(t, supervisor, syscall.SIGHUP)
	eventually(t, "the end", func() bool { return state(supervisor) == 0 })
	if got := x.log.signals(); !slices.Equal(got, []string{"SIGUSR1", "SIGHUP"}) {
		t.Errorf("the command got %q", got)
	}
}

// A command that reads in the background is a stopped job, and continues in the
// foreground.
func TestTerminal_BackgroundRead(t *testing.T) {
	t.Parallel()
	x := openShell(t)
	x.typeText(`set -b; ` + stageEnv + `=supervise "$BIN" /bin/cat &` + "\n")
	x.waitFor("Stopped")
	x.typeText("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() != x.cmd.Process.Pid })
	x.typeText("line\n")
	x.waitFor("line\r\nline\r\n")
	x.typeText("\x04")
	x.waitForeground(x.cmd.Process.Pid)
	if got := x.status(); got != "0" {
		t.Errorf("got status %s, want 0", got)
	}
}

// In a pipeline the terminal signals every process once.
func TestTerminal_Pipeline(t *testing.T) {
	t.Parallel()
	x := openShell(t)
	second := journal(filepath.Join(t.TempDir(), "second"))
	x.run("", ` | LOG=`+string(second)+` `+stageEnv+`=log-signals "$BIN"`)
	second.waitReady(t, 1)
	x.typeText("\x03")
	x.waitPrompt(2)
	for _, j := range []journal{x.log, second} {
		if got := j.signals(); !slices.Equal(got, []string{"SIGINT"}) {
			t.Errorf("%s: got %q, want SIGINT", j, got)
		}
	}
}
