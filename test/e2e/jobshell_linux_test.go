package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

const jobPrompt = "pr0mpt> "

// jobShells are the interactive shells of TestJobControl.
var jobShells = map[string][]string{
	"bash": {"bash", "--norc", "--noprofile", "--noediting", "-i"},
	"dash": {"dash", "-i"},
}

// jobShell is an interactive shell with job control on its own terminal.
type jobShell struct {
	*terminal
	log      string // the file of logsignals.py
	read     int    // how much of the output expect has consumed
	rows     uint16
	settings unix.Termios // the terminal's, at the first prompt
}

func newJobShell(t *testing.T, l *emulator.Lakebase, name string) *jobShell {
	t.Helper()
	p := newFixture(t, l)
	p.set("PS1="+jobPrompt, "TERM=dumb", "HISTFILE=")
	x := &jobShell{terminal: startOnTerminal(p, jobShells[name]...), log: filepath.Join(p.home, "signals"), rows: 20}
	t.Cleanup(func() { x.close(t) })
	x.expect(jobPrompt)
	x.settings = x.termios()
	return x
}

func (x *jobShell) close(t *testing.T) {
	_ = x.pty.Close()
	_ = x.cmd.Process.Kill()
	for _, pid := range x.sessionProcesses() {
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

// expect waits for text in the output that it has not consumed yet, and returns what
// precedes it.
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

// jobStatusWord is what a shell prints about a job that was stopped or ended by a
// signal; it prints nothing for an exit code of 128+n.
var jobStatusWord = regexp.MustCompile("Stopped|Terminated|Quit")

// waitPrompt waits for the prompt and returns the shell's $? and status word. It checks
// that the shell has its terminal back, with its settings.
func (x *jobShell) waitPrompt() (status string) {
	x.t.Helper()
	word := jobStatusWord.FindString(x.expect(jobPrompt))
	if group := x.foreground(); group != x.cmd.Process.Pid {
		x.t.Errorf("at the prompt: got foreground group %d, want the shell %d", group, x.cmd.Process.Pid)
	}
	if now := x.termios(); now != x.settings {
		x.t.Errorf("got terminal settings %+v, want %+v", now, x.settings)
	}
	x.typeText("echo st''atus=$?,\n") // quoted, so that the echo of what is typed differs
	x.expect("status=")
	status = x.expect(",")
	x.expect(jobPrompt)
	return strings.TrimSpace(status + " " + word)
}

func (x *jobShell) foreground() (group int) {
	x.t.Helper()
	x.control(func(fd int) (err error) { group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP); return err })
	return group
}

func (x *jobShell) resize() {
	x.t.Helper()
	x.rows++
	x.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: x.rows, Col: 80})
	})
}

// sessionProcesses returns the processes of the shell's session, except zombies and the
// shell itself. Nothing that the tests start leaves the session.
func (x *jobShell) sessionProcesses() (pids []int) {
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

// runDirectories returns the run directories.
func (x *jobShell) runDirectories() []string {
	x.t.Helper()
	found, err := filepath.Glob(filepath.Join(x.run, "*", "run-*"))
	if err != nil {
		x.t.Fatal(err)
	}
	return found
}

// assertNothingLeft checks that no process and no run directory is left.
func (x *jobShell) assertNothingLeft() {
	x.t.Helper()
	if pids := x.sessionProcesses(); len(pids) != 0 {
		x.t.Errorf("processes are left: %d", pids)
	}
	if left := x.runDirectories(); len(left) != 0 {
		x.t.Errorf("run directories are left: %q", left)
	}
}

func (x *jobShell) logLines() []string {
	data, _ := os.ReadFile(x.log)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// signals returns the signals that the command received, each with the kind of sender.
func (x *jobShell) signals() (list []string) {
	for _, line := range x.logLines() {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(line, "SIG") {
			list = append(list, words[0]+" "+words[1])
		}
	}
	return list
}

// waitSignal waits until the command has received a signal.
func (x *jobShell) waitSignal(sig string) {
	x.t.Helper()
	eventually(x.t, "the command receives "+sig, func() bool {
		return slices.ContainsFunc(x.signals(), func(s string) bool { return strings.HasPrefix(s, sig+" ") })
	})
}
