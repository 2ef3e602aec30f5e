package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// maxShells is how many shells run concurrently; they mostly wait.
const maxShells = 8

// jobMode is how a command is run.
type jobMode struct {
	name, prefix string
	supervised   bool
}

var (
	jobBare  = jobMode{name: "bare"}
	jobModes = []jobMode{
		{"off", "lakebase-exec --refresh off --wait never -- ", false},
		{"passfile", "lakebase-exec --refresh passfile --wait never -- ", true},
		{"proxy", "lakebase-exec --refresh proxy --wait never -- ", true},
	}
)

// jobResult is the signals that the command received, with the kind of their sender,
// and the statuses that the shell reported.
type jobResult struct{ Signals, Statuses []string }

// job is a running command: top is the process that the shell started, command is the
// command itself. They differ under a supervisor.
type job struct {
	*jobShell
	top, command int
}

var jobCases = []struct {
	name string
	ends int    // the command ends after this many signals that ask for it
	then string // typed after the command
	do   func(j *job) (statuses []string)
	want jobResult
}{
	// A shell aborts a list only if a command has ended by SIGINT.
	{"Ctrl-C", 1, "; true", func(j *job) []string { j.typeText("\x03"); return nil },
		jobResult{[]string{"SIGINT kernel"}, []string{"130"}}},
	{"Ctrl-backslash", 1, "", func(j *job) []string { j.typeText("\x1c"); return nil },
		jobResult{[]string{"SIGQUIT kernel"}, []string{"131 Quit"}}},
	{"Ctrl-Z and fg", 1, "", stopAndContinue,
		jobResult{[]string{"SIGCONT process", "SIGTERM process"}, []string{"148 Stopped", "143 Terminated"}}},
	{"SIGTERM", 1, "", func(j *job) []string { j.kill(syscall.SIGTERM); return nil },
		jobResult{[]string{"SIGTERM process"}, []string{"143 Terminated"}}},
	{"two SIGTERMs", 2, "", func(j *job) []string {
		j.kill(syscall.SIGTERM)
		j.waitSignal("SIGTERM")
		j.kill(syscall.SIGTERM)
		return nil
	}, jobResult{[]string{"SIGTERM process", "SIGTERM process"}, []string{"143 Terminated"}}},
	{"window change", 1, "", func(j *job) []string {
		j.resize()
		j.waitSignal("SIGWINCH")
		j.kill(syscall.SIGTERM)
		return nil
	}, jobResult{[]string{"SIGWINCH kernel", "SIGTERM process"}, []string{"143 Terminated"}}},
}

func stopAndContinue(j *job) (statuses []string) {
	j.typeText("\x1a")
	statuses = append(statuses, j.waitPrompt())
	for _, pid := range []int{j.top, j.command} {
		if s := processState(pid); s != 'T' {
			j.t.Errorf("after Ctrl-Z process %d has state %c, want T", pid, s)
		}
	}
	j.typeText("fg\n")
	j.waitSignal("SIGCONT")
	if group := j.foreground(); group != j.command {
		j.t.Errorf("after fg: got foreground group %d, want %d", group, j.command)
	}
	if s := processState(j.top); s == 'T' {
		j.t.Error("after fg: the job is still stopped")
	}
	j.kill(syscall.SIGTERM)
	return statuses
}

// processState returns the state letter of proc(5); 0 if there is no process.
func processState(pid int) byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(data), ") ")
	if err != nil || !ok {
		return 0
	}
	return rest[0]
}

// TestJobControl does the same to a command and, in the same shell, to that command
// under lakebase-exec: it receives the same signals from the same kind of sender, and
// the shell reports the same status and has its terminal back.
func TestJobControl(t *testing.T) {
	t.Parallel()
	client(t, "/usr/bin/python3")
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	slots := make(chan struct{}, maxShells)
	var all sync.WaitGroup
	run := func(name string, test func(*testing.T)) {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, test)
		})
	}
	for shell := range jobShells {
		for i := range jobCases {
			run(shell+"/"+jobCases[i].name, func(t *testing.T) { testSameAsBare(t, newJobShell(t, l, shell), i) })
		}
		for _, m := range append([]jobMode{jobBare}, jobModes...) {
			run(shell+"/hang-up/"+m.name, func(t *testing.T) { testHangUp(t, newJobShell(t, l, shell), shell, m) })
		}
	}
	all.Wait()
}

func testSameAsBare(t *testing.T, x *jobShell, i int) {
	c := jobCases[i]
	run := func(m jobMode) jobResult {
		j := x.start(m, c.ends, c.then)
		statuses := append(c.do(j), j.waitPrompt())
		j.assertNothingLeft()
		return jobResult{j.signals(), statuses}
	}
	// The shell's own result is checked too, so that both cannot be wrong.
	if got := run(jobBare); !reflect.DeepEqual(got, c.want) {
		t.Fatalf("bare: got %q, want %q", got, c.want)
	}
	for _, m := range jobModes {
		ok := t.Run(m.name, func(t *testing.T) {
			x.t = t
			if got := run(m); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q as for the bare command", got, c.want)
			}
		})
		if !ok { // the shell is not at its prompt any more
			return
		}
	}
}

// start types the command and waits until it logs signals.
func (x *jobShell) start(m jobMode, ends int, then string) *job {
	x.t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "logsignals.py"))
	must(x.t, err)
	must(x.t, os.RemoveAll(x.log))
	x.typeText(fmt.Sprintf("%s%s -IS '%s' '%s' %d%s\n", m.prefix, "/usr/bin/python3", script, x.log, ends, then))
	j := &job{jobShell: x}
	var parent int
	eventually(x.t, "the command runs", func() bool {
		n, _ := fmt.Sscanf(x.logLines()[0], "ready %d %d", &j.command, &parent)
		return n == 2
	})
	j.top = j.command
	if parent != x.cmd.Process.Pid {
		j.top = parent
	}
	if supervised := j.top != j.command; supervised != m.supervised {
		x.t.Fatalf("the command %d has parent %d, the shell is %d", j.command, parent, x.cmd.Process.Pid)
	}
	eventually(x.t, "the command's group has the terminal", func() bool { return x.foreground() == j.command })
	processes, dirs := []int{j.top}, 0
	if m.supervised {
		processes, dirs = []int{j.top, j.command}, 1
	}
	got := x.sessionProcesses()
	slices.Sort(got)
	slices.Sort(processes)
	if !slices.Equal(got, processes) || len(x.runDirs()) != dirs {
		x.t.Errorf("got processes %d, want %d; run directories %q, want %d", got, processes, x.runDirs(), dirs)
	}
	return j
}

func (j *job) kill(sig syscall.Signal) {
	j.t.Helper()
	must(j.t, syscall.Kill(j.top, sig))
}

// maxHangUps is how many SIGHUPs a bare command receives on a hang-up: one from the
// kernel, and with bash another from the shell.
var maxHangUps = map[string]int{"dash": 1, "bash": 2}

// testHangUp closes the terminal, by which the shell and its jobs end.
func testHangUp(t *testing.T, x *jobShell, shell string, m jobMode) {
	j := x.start(m, 1, "")
	must(t, x.pty.Close())
	eventually(t, "all processes of the session are gone", func() bool {
		return len(j.sessionProcesses()) == 0 &&
			processState(x.cmd.Process.Pid) == 'Z'
	})
	j.assertNothingLeft()
	count := map[string]int{}
	for _, s := range j.signals() {
		sig, _, _ := strings.Cut(s, " ")
		count[sig]++
	}
	if n := count["SIGHUP"]; n < 1 || n > maxHangUps[shell] || count["SIGCONT"] > maxHangUps[shell] || len(j.signals()) != n+count["SIGCONT"] {
		t.Errorf("the command got %q, want at most %d SIGHUP, each followed by SIGCONT", j.signals(), maxHangUps[shell])
	}
	t.Logf("the command got %q", j.logLines())
}

// Ctrl-Z at the secret prompt, a stop by another process, and an end while stopped: the
// shell has its echo, no part of the secret, and login asks without echo again.
func TestLogin_Stopped(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	const prompt, typed = "(not shown): ", "dose1234"
	for shell := range jobShells {
		for name, stop := range map[string]func(x *jobShell, login int){
			"ctrl-z": func(x *jobShell, _ int) { x.typeText("\x1a") },
			"tstp":   func(x *jobShell, login int) { _ = syscall.Kill(login, syscall.SIGTSTP) },
			"stop":   func(x *jobShell, login int) { _ = syscall.Kill(login, syscall.SIGSTOP) },
		} {
			t.Run(shell+" "+name, func(t *testing.T) {
				x := newJobShell(t, l, shell)
				x.typeText("lakebase-credential-helper login --store file --no-verify\n")
				x.expect(prompt)
				login := x.foreground()
				if name != "stop" { // which no program can catch
					x.typeText(typed)
					time.Sleep(100 * time.Millisecond) // the kernel takes it in
				}
				stop(x, login)
				x.expect(jobPrompt)
				if now := x.termios(); name != "stop" && now != x.settings {
					t.Errorf("stopped: got terminal settings %+v, want %+v", now, x.settings)
				}
				x.typeText("fg\n")
				if name != "stop" {
					x.expect(prompt)
				}
				eventually(t, "the terminal is login's and does not echo",
					func() bool { return x.foreground() == login && x.termios().Lflag&unix.ECHO == 0 })
				x.typeText(typed + "\x1a")
				x.expect(jobPrompt)
				_ = syscall.Kill(login, syscall.SIGTERM)
				_ = syscall.Kill(login, syscall.SIGCONT)
				eventually(t, "login ends", func() bool { s := processState(login); return s == 0 || s == 'Z' })
				x.typeText("echo e''cho\n")
				x.expect("echo\r\n")
				prompts := 2 // the second after fg
				if shell == "dash" && name == "stop" {
					prompts = 1 // dash left the terminal without echo
				}
				if got := strings.Count(x.output(), prompt); got != prompts {
					t.Errorf("the prompt is shown %d times, want %d: %q", got, prompts, x.output())
				}
				if strings.Contains(x.output(), typed) || strings.Contains(x.output(), "not found") {
					t.Errorf("the terminal shows what was typed: %q", x.output())
				}
			})
		}
	}
}

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

// assertNothingLeft checks that no process and no run directory is left.
func (x *jobShell) assertNothingLeft() {
	x.t.Helper()
	if pids := x.sessionProcesses(); len(pids) != 0 {
		x.t.Errorf("processes are left: %d", pids)
	}
	if left := x.runDirs(); len(left) != 0 {
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
