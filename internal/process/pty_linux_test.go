package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

const prompt = "pr0mpt> "

// terminal is a shell with job control on a terminal.
type terminal struct {
	t      *testing.T
	shell  *exec.Cmd
	master *os.File
	log    journal
	sync.Mutex
	out  strings.Builder
	read chan struct{} // closed when the terminal is
}

// open starts a program on a terminal of its own.
func open(t *testing.T, log journal, name string, args ...string) *terminal {
	t.Helper()
	x := &terminal{t: t, shell: exec.Command(name, args...), log: log, read: make(chan struct{})}
	x.shell.Env = []string{quick, "PS1=" + prompt, "TERM=dumb", "PATH=/bin:/usr/bin", "LOG=" + string(log), "HISTFILE=", "BIN=" + self(t)}
	master, err := pty.Start(x.shell)
	if err != nil {
		t.Fatal(err)
	}
	// Only a descriptor in Go's poller is closed while somebody reads from it.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, unix.SetNonblock(fd, true), master.Close()); err != nil {
		t.Fatal(err)
	}
	x.master = os.NewFile(uintptr(fd), "master")
	go func() {
		defer close(x.read)
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
		_ = x.shell.Process.Kill()
		_ = x.shell.Wait()
		<-x.read
		if t.Failed() {
			t.Logf("the terminal: %q", x.output())
		}
	})
	return x
}

func newShell(t *testing.T, name string) *terminal {
	t.Helper()
	args := []string{"-i"}
	if name == "bash" {
		args = []string{"--norc", "--noprofile", "--noediting", "-i"}
	}
	x := open(t, newJournal(t), name, args...)
	x.prompts(1)
	return x
}

func (x *terminal) output() string {
	x.Lock()
	defer x.Unlock()
	return x.out.String()
}

func (x *terminal) shows(text string) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("%q on the terminal", text), func() bool { return strings.Contains(x.output(), text) })
}

// prompts waits for the n-th prompt, and for the shell to have its terminal.
func (x *terminal) prompts(n int) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("prompt %d", n), func() bool { return strings.Count(x.output(), prompt) >= n })
	eventually(x.t, "the shell's terminal", func() bool { return x.foreground() == x.shell.Process.Pid })
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

func (x *terminal) types(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// run types a command that counts signals, with or without a supervisor, and
// returns the pids of who the shell started and of who counts.
func (x *terminal) run(supervised bool, before, after string) (top, counter int) {
	x.t.Helper()
	line := `CHILD_TEST_STAGE=count "$BIN"`
	if supervised {
		line = `CHILD_TEST_STAGE=supervise HARDEN=1 NEXT=count "$BIN" "$BIN"`
	}
	x.types(before + line + after + "\n")
	pid, ppid, _ := x.log.ready(x.t, 1)
	if !supervised {
		return pid, pid
	}
	return ppid, pid
}

func send(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// status is what the shell says of its last command.
func (x *terminal) status() string {
	x.t.Helper()
	x.types("echo st''atus=$?,\n") // quoted, so that the echo of our typing is another text
	x.shows("status=")
	eventually(x.t, "the whole status", func() bool {
		_, rest, _ := strings.Cut(x.output(), "status=")
		return strings.Contains(rest, ",")
	})
	_, rest, _ := strings.Cut(x.output(), "status=")
	code, _, _ := strings.Cut(rest, ",")
	return code
}

// catching is proc(5)'s SigCgt.
func catching(pid int, sig syscall.Signal) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "SigCgt:\t")
	hex, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(hex, 16, 64)
	return err == nil && mask&(1<<(sig-1)) != 0
}

func (x *terminal) hangUp(pids ...int) {
	x.t.Helper()
	if err := x.master.Close(); err != nil {
		x.t.Fatal(err)
	}
	for _, pid := range pids {
		eventually(x.t, "the end", func() bool { s := state(pid); return s == 0 || s == 'Z' })
	}
}
