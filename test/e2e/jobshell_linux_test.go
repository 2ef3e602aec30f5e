package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

const jobPrompt = "pr0mpt> "

// jobShells are the interactive shells that the terminal suite types into.
var jobShells = map[string][]string{
	"bash": {"bash", "--norc", "--noprofile", "--noediting", "-i"},
	"dash": {"dash", "-i"},
}

// jobShell is an interactive shell with job control on a terminal of its own.
type jobShell struct {
	*terminal
	log      string // what tally.py wrote
	read     int    // of what was shown, by expect
	rows     uint16
	settings unix.Termios // the terminal's, at the first prompt
}

func newJobShell(t *testing.T, l *emulator.Lakebase, name string, env ...string) *jobShell {
	t.Helper()
	p := newFixture(t, l)
	p.set("PS1="+jobPrompt, "TERM=dumb", "HISTFILE=")
	p.set(env...)
	s := &terminal{fixture: p, cmd: p.command(jobShells[name]...), begin: time.Now(), done: make(chan struct{})}
	master, err := pty.Start(s.cmd)
	if err != nil {
		t.Fatal(err)
	}
	if s.pty, err = polled(master); err != nil {
		t.Fatal(err)
	}
	go s.watch()
	x := &jobShell{terminal: s, log: filepath.Join(p.home, "tally"), rows: 20}
	t.Cleanup(func() { x.close(t) })
	x.expect(jobPrompt)
	x.settings = x.termios()
	return x
}

// polled is the same file in Go's poller: only there is a file closed while
// it is being read.
func polled(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return os.NewFile(uintptr(fd), f.Name()), err
}

// watch keeps what is shown.
func (s *terminal) watch() {
	defer close(s.done)
	b := make([]byte, 4096)
	for {
		n, err := s.pty.Read(b)
		s.mu.Lock()
		s.text.Write(b[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// close ends the shell, and after a failed test all that it has left.
func (x *jobShell) close(t *testing.T) {
	_ = x.pty.Close()
	_ = x.cmd.Process.Kill()
	for _, pid := range x.members() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = x.cmd.Wait()
	<-x.done
	if found := leakIn(x.lakebase, x.output()); found != "" {
		t.Errorf("the terminal shows %s", found)
	}
	if strings.Contains(x.output(), "DATA RACE") || t.Failed() {
		t.Errorf("the terminal shows:\n%s", x.output())
	}
}

// expect waits until text is shown, behind all that was expected before, and
// gives what was shown ahead of it.
func (x *jobShell) expect(text string) (ahead string) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("the terminal shows %q", text), func() bool {
		var ok bool
		ahead, _, ok = strings.Cut(x.output()[x.read:], text)
		return ok
	})
	x.read += len(ahead) + len(text)
	return ahead
}

// jobWords is what a shell says of a job. An exit code of 128+n is not the same as
// a death: it says nothing then.
var jobWords = regexp.MustCompile("Stopped|Terminated|Quit")

// back waits for the prompt, and gives the status that the shell saw, and its
// word. The terminal is the shell's again, and set as it was.
func (x *jobShell) back() (status string) {
	x.t.Helper()
	word := jobWords.FindString(x.expect(jobPrompt))
	if group := x.foreground(); group != x.cmd.Process.Pid {
		x.t.Errorf("the prompt is back, and the terminal is the process group %d's, not the shell's, %d", group, x.cmd.Process.Pid)
	}
	if now := x.termios(); now != x.settings {
		x.t.Errorf("the terminal's settings were %+v, and are %+v", x.settings, now)
	}
	x.typeText("echo st''atus=$?,\n") // quoted, so that what is typed is another text
	x.expect("status=")
	status = x.expect(",")
	x.expect(jobPrompt)
	return strings.TrimSpace(status + " " + word)
}

func (x *jobShell) control(f func(fd int) error) {
	x.t.Helper()
	raw, err := x.pty.SyscallConn()
	if err == nil {
		var inner error
		err = errors.Join(raw.Control(func(fd uintptr) { inner = f(int(fd)) }), inner)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// foreground is tcgetpgrp.
func (x *jobShell) foreground() (group int) {
	x.t.Helper()
	x.control(func(fd int) (err error) { group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP); return err })
	return group
}

// termios is the slave's: on Linux the master has no settings of its own.
func (x *jobShell) termios() (settings unix.Termios) {
	x.t.Helper()
	x.control(func(fd int) error {
		now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			settings = *now
		}
		return err
	})
	return settings
}

// resize gives the window a size that it did not have.
func (x *jobShell) resize() {
	x.t.Helper()
	x.rows++
	x.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: x.rows, Col: 80})
	})
}

// members are the processes of the shell's session, zombies and the shell
// itself aside. Nothing that we start leaves the session.
func (x *jobShell) members() (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range list {
		var pid, ppid, group, session int
		var state string
		data, _ := os.ReadFile(file)
		head, rest, _ := bytes.Cut(data, []byte(" ("))
		_, rest, _ = bytes.Cut(rest, []byte(") "))
		_, err := fmt.Sscan(string(rest), &state, &ppid, &group, &session)
		if _, err2 := fmt.Sscan(string(head), &pid); err != nil || err2 != nil {
			continue
		}
		if session == x.cmd.Process.Pid && pid != session && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runFolders are the folders of runs, finished or not.
func (x *jobShell) runFolders() []string {
	x.t.Helper()
	var found []string
	for _, pattern := range []string{"run-*", "new-*"} {
		list, err := filepath.Glob(filepath.Join(x.run, "*", pattern))
		if err != nil {
			x.t.Fatal(err)
		}
		found = append(found, list...)
	}
	return found
}

// nothing checks that no process and no folder of a run is left.
func (x *jobShell) nothing() {
	x.t.Helper()
	if pids := x.members(); len(pids) != 0 {
		x.t.Errorf("the processes %d are left", pids)
	}
	if left := x.runFolders(); len(left) != 0 {
		x.t.Errorf("the folders %q are left", left)
	}
}

// tallied is what tally.py wrote, in lines.
func (x *jobShell) tallied() []string {
	data, _ := os.ReadFile(x.log)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// signals are those that the command saw, each with its kind of sender.
func (x *jobShell) signals() (list []string) {
	for _, line := range x.tallied() {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(line, "SIG") {
			list = append(list, words[0]+" "+words[1])
		}
	}
	return list
}

// saw waits until the command has seen a signal.
func (x *jobShell) saw(sig string) {
	x.t.Helper()
	eventually(x.t, "the command sees "+sig, func() bool {
		return slices.ContainsFunc(x.signals(), func(s string) bool { return strings.HasPrefix(s, sig+" ") })
	})
}
