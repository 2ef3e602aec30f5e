package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

var terminalCases = []struct {
	name    string
	do      func(x *terminal, top, counter int)
	prompts int
	signals []string
	status  string
}{
	{"Ctrl-C", func(x *terminal, _, _ int) { x.types("\x03") }, 2, []string{"SIGINT"}, "130"},
	{"Ctrl-backslash", func(x *terminal, _, _ int) { x.types("\x1c") }, 2, []string{"SIGQUIT"}, "131"},
	{"Ctrl-Z and fg", func(x *terminal, top, counter int) {
		x.types("\x1a")
		x.prompts(2)
		if a, b := state(top), state(counter); a != 'T' || b != 'T' {
			x.t.Errorf("states %c and %c after Ctrl-Z", a, b)
		}
		x.types("fg\n")
		x.log.saw(x.t, "SIGCONT", 1)
		if x.foreground() != top {
			x.t.Error("fg did not bring it to the foreground")
		}
		send(x.t, top, syscall.SIGTERM)
	}, 3, []string{"SIGCONT", "SIGTERM"}, "143"},
	{"SIGTERM", func(x *terminal, top, _ int) { send(x.t, top, syscall.SIGTERM) }, 2, []string{"SIGTERM"}, "143"},
	{"two SIGTERMs", func(x *terminal, top, _ int) {
		send(x.t, top, syscall.SIGTERM)
		x.log.saw(x.t, "SIGTERM", 1)
		send(x.t, top, syscall.SIGTERM)
	}, 2, []string{"SIGTERM", "SIGTERM"}, "143"},
	{"a window change", func(x *terminal, top, _ int) {
		if err := pty.Setsize(x.master, &pty.Winsize{Rows: 7, Cols: 70}); err != nil {
			x.t.Fatal(err)
		}
		x.log.saw(x.t, "SIGWINCH", 1)
		send(x.t, top, syscall.SIGTERM)
	}, 2, []string{"SIGWINCH", "SIGTERM"}, "143"},
	{"SIGHUP alone", func(x *terminal, top, _ int) { send(x.t, top, syscall.SIGHUP) }, 2, []string{"SIGHUP"}, "129"},
	{"SIGUSR1 alone", func(x *terminal, top, _ int) {
		send(x.t, top, syscall.SIGUSR1)
		x.log.saw(x.t, "SIGUSR1", 1)
		send(x.t, top, syscall.SIGTERM)
	}, 2, []string{"SIGUSR1", "SIGTERM"}, "143"},
}

// TestTerminal does the same to a command and to a supervised command: they see
// the same signals, and the shell sees the same end.
func TestTerminal(t *testing.T) {
	for _, name := range []string{"bash", "dash"} {
		for _, c := range terminalCases {
			for _, supervised := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/supervised=%v", name, c.name, supervised), func(t *testing.T) {
					t.Parallel()
					x := newShell(t, name)
					top, counter := x.run(supervised, "", "")
					if x.foreground() != top || supervised == (top == counter) {
						t.Fatalf("foreground %d, top %d, counter %d", x.foreground(), top, counter)
					}
					c.do(x, top, counter)
					x.prompts(c.prompts)
					if got := x.status(); got != c.status {
						t.Errorf("the shell saw %s, not %s", got, c.status)
					}
					if got := x.log.signals(); !slices.Equal(got, c.signals) {
						t.Errorf("the command saw %q, not %q", got, c.signals)
					}
				})
			}
		}
	}
}

// TestHangUp closes the terminal. dash tells nobody, so that the kernel's one
// SIGHUP is all; bash tells its jobs as well, and so does the kernel when bash
// ends.
func TestHangUp(t *testing.T) {
	for name, most := range map[string]int{"dash": 1, "bash": 2} {
		for _, supervised := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/supervised=%v", name, supervised), func(t *testing.T) {
				t.Parallel()
				x := newShell(t, name)
				top, counter := x.run(supervised, "", "")
				x.hangUp(top, counter)
				got := slices.DeleteFunc(x.log.signals(), func(s string) bool { return s == "SIGCONT" })
				if len(got) == 0 || len(got) > most || slices.ContainsFunc(got, func(s string) bool { return s != "SIGHUP" }) {
					t.Errorf("the command saw %q", x.log.signals())
				}
			})
		}
	}
}

// TestSessionLeader has no shell above it, as in a container with a terminal: the
// kernel tells us alone of the hang-up.
func TestSessionLeader(t *testing.T) {
	t.Parallel()
	log := newJournal(t)
	x := open(t, log, "/usr/bin/env", "CHILD_TEST_STAGE=supervise", "NEXT=count", self(t), self(t))
	counter, top, _ := log.ready(t, 1)
	if top != x.shell.Process.Pid {
		t.Fatalf("%d is not the leader, %d is", top, x.shell.Process.Pid)
	}
	send(t, top, syscall.SIGUSR2)
	log.saw(t, "SIGUSR2", 1)
	x.hangUp(top, counter)
	// The kernel sends another to the foreground group when the leader, we, ends: the command is dead by then.
	if got := log.signals(); !slices.Equal(got, []string{"SIGUSR2", "SIGHUP"}) {
		t.Errorf("the command saw %q", got)
	}
}

// TestStopAfterTheCommand: a command that catches Ctrl-Z is done with the
// terminal when the shell comes back.
func TestStopAfterTheCommand(t *testing.T) {
	t.Parallel()
	x := newShell(t, "bash")
	top, counter := x.run(true, "COUNT=tstp ", "")
	x.types("\x1a")
	x.prompts(2)
	if got := x.log.lines(); !slices.Contains(got, "tidied") {
		t.Errorf("the prompt was back before the command was ready: %q", got)
	}
	// Woken alone, we wake the command.
	send(t, top, syscall.SIGCONT)
	x.log.saw(t, "SIGCONT", 1)
	x.types("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() == top })
	// The command is stopped alone: the shell gets its terminal all the same.
	send(t, counter, syscall.SIGSTOP)
	x.prompts(3)
	x.types("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() == top && state(counter) != 'T' && catching(top, syscall.SIGTSTP) })
	x.types("\x1a") // as the first time
	x.prompts(4)
	if got := x.log.lines(); got[len(got)-1] != "tidied" {
		t.Errorf("the second time: %q", got)
	}
	x.types("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() == top && state(counter) != 'T' })
	x.types("\x03")
	x.prompts(5)
	if got := x.status(); got != "130" {
		t.Errorf("status %s", got)
	}
	got := slices.DeleteFunc(x.log.signals(), func(s string) bool { return s == "SIGCONT" })
	if !slices.Equal(got, []string{"SIGTSTP", "SIGTSTP", "SIGINT"}) {
		t.Errorf("the command saw %q", got)
	}
}

// TestInterruptByKill: in the background the terminal cannot have sent SIGINT. In
// the foreground it can, and so this one is lost.
func TestInterruptByKill(t *testing.T) {
	t.Parallel()
	x := newShell(t, "bash")
	top, _ := x.run(true, "", " &")
	x.prompts(2)
	send(t, top, syscall.SIGINT)
	x.log.saw(t, "SIGINT", 1)
	eventually(t, "the end", func() bool { return state(top) == 0 })
	if err := os.Remove(string(x.log)); err != nil {
		t.Fatal(err)
	}
	top, _ = x.run(true, "", "")
	send(t, top, syscall.SIGINT)
	send(t, top, syscall.SIGUSR1)
	x.log.saw(t, "SIGUSR1", 1)
	send(t, top, syscall.SIGTERM)
	eventually(t, "the end", func() bool { return state(top) == 0 })
	if got := x.log.signals(); !slices.Equal(got, []string{"SIGUSR1", "SIGTERM"}) {
		t.Errorf("the command saw %q", got)
	}
}

// TestBackgroundRead: a command that reads in the background is a stopped job,
// and reads on in the foreground.
func TestBackgroundRead(t *testing.T) {
	t.Parallel()
	x := newShell(t, "bash")
	x.types(`set -b; CHILD_TEST_STAGE=supervise "$BIN" /bin/cat &` + "\n")
	x.shows("Stopped")
	x.types("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() != x.shell.Process.Pid })
	x.types("line\n")
	x.shows("line\r\nline\r\n")
	x.types("\x04")
	eventually(t, "the shell's terminal", func() bool { return x.foreground() == x.shell.Process.Pid })
	if got := x.status(); got != "0" {
		t.Errorf("status %s", got)
	}
}

// TestPipeline: the others of a pipeline are in the foreground too, and get their
// signals from the terminal.
func TestPipeline(t *testing.T) {
	t.Parallel()
	x := newShell(t, "bash")
	second := filepath.Join(t.TempDir(), "second")
	x.run(true, "", ` | LOG=`+second+` CHILD_TEST_STAGE=count "$BIN"`)
	journal(second).ready(t, 1)
	x.types("\x03")
	x.prompts(2)
	for _, j := range []journal{x.log, journal(second)} {
		if got := j.signals(); !slices.Equal(got, []string{"SIGINT"}) {
			t.Errorf("%s: %q", j, got)
		}
	}
}
