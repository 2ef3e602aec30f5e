package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
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
	seen int           // what dialogue has waited for
	done chan struct{} // closed when the terminal is
}

// openTerminal starts a program with clone flags and additional variables.
func openTerminal(t *testing.T, clone uintptr, env []string, name string, args ...string) *terminal {
	t.Helper()
	x := &terminal{t: t, cmd: exec.Command(name, args...), log: newJournal(t), done: make(chan struct{})}
	x.cmd.Env = append(env, noExitDelay, "PS1="+prompt, "TERM=dumb", "PATH=/bin:/usr/bin", "LOG="+string(x.log), "HISTFILE=", "BIN="+self(t))
	master, err := pty.StartWithAttrs(x.cmd, nil, &syscall.SysProcAttr{Setsid: true, Setctty: true, Cloneflags: clone})
	must(t, err)
	// A read is interrupted by Close only for a descriptor in Go's poller.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, errors.Join(err, unix.SetNonblock(fd, true), master.Close()))
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

func openShell(t *testing.T, env ...string) *terminal {
	t.Helper()
	x := openTerminal(t, 0, env, "bash", "--norc", "--noprofile", "--noediting", "-i")
	x.dialogue("", prompt)
	return x
}

func (x *terminal) output() string {
	x.Lock()
	defer x.Unlock()
	return x.out.String()
}

func (x *terminal) foreground() (group int) {
	raw, err := x.master.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	}
	must(x.t, err)
	return group
}

func (x *terminal) typeText(text string) {
	x.t.Helper()
	if _, err := x.master.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// dialogue types a text, waits for another to be shown after what was shown before, and
// so on.
func (x *terminal) dialogue(steps ...string) {
	x.t.Helper()
	for i := 0; i < len(steps); i += 2 {
		x.typeText(steps[i])
		eventually(x.t, fmt.Sprintf("%q on the terminal", steps[i+1]), func() bool {
			shown := x.output()
			at := strings.Index(shown[x.seen:], steps[i+1])
			if at >= 0 {
				x.seen += at + len(steps[i+1])
			}
			return at >= 0
		})
	}
}

// A session leader, as in a container with a terminal, is the only process that the
// kernel signals on a hang-up.
func TestTerminal_SessionLeader(t *testing.T) {
	t.Parallel()
	x := openTerminal(t, 0, []string{stageEnv + "=supervise", "NEXT=log-signals"}, self(t), self(t))
	command, supervisor, _ := x.log.waitReady(t, 1)
	if supervisor != x.cmd.Process.Pid {
		t.Fatalf("got leader %d, want %d", x.cmd.Process.Pid, supervisor)
	}
	must(t, syscall.Kill(supervisor, syscall.SIGUSR2))
	x.log.waitSignal(t, "SIGUSR2")
	must(t, x.master.Close())
	eventually(t, "the end", func() bool { return hasEnded(supervisor) && hasEnded(command) })
	// The kernel sends the leader both signals. It sends another SIGHUP to the foreground
	// group when the leader ends: the command has ended by then.
	got := x.log.signals()
	slices.Sort(got)
	if !slices.Equal(got, []string{"SIGCONT", "SIGHUP", "SIGUSR2"}) {
		t.Errorf("the command got %q", got)
	}
}

// A command that handles Ctrl-Z is done with the terminal before the shell resumes.
func TestTerminal_StopsAfterCommand(t *testing.T) {
	t.Parallel()
	x := openShell(t, stageEnv+"=supervise", "NEXT=log-signals", "CATCH=tstp")
	x.typeText(`"$BIN" "$BIN"` + "\n")
	command, supervisor, _ := x.log.waitReady(t, 1)
	x.dialogue("\x1a", prompt)
	if got := x.log.lines(); !slices.Contains(got, "restored") {
		t.Errorf("the prompt is back before the command was ready: %q", got)
	}
	// Continued alone, the supervisor continues the command.
	must(t, syscall.Kill(supervisor, syscall.SIGCONT))
	x.log.waitSignal(t, "SIGCONT")
	x.typeText("fg\n")
	eventually(t, "the foreground", func() bool { return x.foreground() == supervisor }) // a shell does not say this to a job that runs
	// When the command is stopped alone, the shell gets its terminal all the same.
	must(t, syscall.Kill(command, syscall.SIGSTOP))
	x.dialogue("", prompt, "fg\n", "")
	eventually(t, "the continued command", func() bool { return x.foreground() == command && state(command) != 'T' })
	x.dialogue("\x03", prompt, status, "status=130\r\n")
	got := slices.DeleteFunc(x.log.signals(), func(s string) bool { return s == "SIGCONT" })
	if !slices.Equal(got, []string{"SIGTSTP", "SIGINT"}) {
		t.Errorf("the command got %q", got)
	}
}

// catchAll is a shell's prefix that keeps it alive when a signal is sent to its group,
// and lets what it starts have the default actions.
const catchAll = "trap : HUP INT QUIT TERM USR1 USR2 ALRM WINCH TSTP; "

// TestSignals_Once sends each signal in each way to a supervisor in each arrangement of
// sessions, process groups and terminals: the command gets each exactly once.
func TestSignals_Once(t *testing.T) {
	t.Parallel()
	keyboard := map[string]string{"SIGINT": "\x03", "SIGQUIT": "\x1c", "SIGTSTP": "\x1a"}
	keys := []string{"SIGINT", "SIGQUIT", "SIGTSTP", "SIGWINCH"}
	sent := []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGCONT", "SIGTSTP"}
	for name, c := range map[string]struct {
		clone    uintptr
		terminal bool
		shell    string // what an interactive shell runs; empty: the supervisor has no shell, and TTIN and TTOU are forwarded, too
	}{
		"no terminal":                 {},
		"no terminal, PID 1":          {clone: syscall.CLONE_NEWPID},
		"terminal, session leader":    {terminal: true},
		"terminal, PID 1":             {terminal: true, clone: syscall.CLONE_NEWPID},
		"terminal, shell":             {terminal: true, shell: `"$BIN" "$BIN"`},
		"terminal, script":            {terminal: true, shell: `sh -c '` + catchAll + `"$BIN" "$BIN"; true'`},
		"terminal, first in pipeline": {terminal: true, shell: `"$BIN" "$BIN" | sh -c '` + catchAll + `while sleep 0.01; do :; done'`},
		"terminal, last in pipeline":  {terminal: true, shell: `sh -c '` + catchAll + `sleep 600; sleep 600' | "$BIN" "$BIN"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signals := sent
			if c.shell == "" {
				signals = append(slices.Clone(sent), "SIGTTIN", "SIGTTOU")
			}
			env := []string{stageEnv + "=supervise", "NEXT=log-signals", "CATCH=all", "ENDS=10"}
			if !c.terminal {
				env[3] = "ENDS=8"
			}
			var x *terminal
			switch {
			case c.shell != "":
				x = openShell(t, env...)
				x.typeText(c.shell + "\n")
			case c.terminal:
				x = openTerminal(t, c.clone, env, self(t), self(t))
			default:
				x = &terminal{log: newJournal(t), cmd: exec.CommandContext(t.Context(), self(t), self(t))}
				x.cmd.Env = append(env, noExitDelay, "LOG="+string(x.log))
				x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: c.clone}
				must(t, x.cmd.Start())
				t.Cleanup(func() {
					_ = x.cmd.Process.Kill()
					_ = x.cmd.Wait()
				})
			}
			_, supervisor, _ := x.log.waitReady(t, 1)
			if c.shell == "" {
				supervisor = x.cmd.Process.Pid // in our PID namespace
			}
			group, err := syscall.Getpgid(supervisor)
			must(t, err)
			for _, never := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGVTALRM} {
				must(t, syscall.Kill(supervisor, never))
			}
			var want []string
			expect := func(how, name string) {
				t.Helper()
				want = append(want, name)
				eventually(t, how+" "+name, func() bool { return len(x.log.signals()) >= len(want) })
			}
			if c.terminal {
				for _, name := range keys {
					if text, ok := keyboard[name]; ok {
						x.typeText(text)
					} else if err := pty.Setsize(x.master, &pty.Winsize{Rows: 33, Cols: 44}); err != nil {
						t.Fatal(err)
					}
					expect("keyboard", name)
				}
			}
			for _, name := range signals {
				must(t, syscall.Kill(supervisor, unix.SignalNum(name)))
				expect("to the supervisor", name)
				if name == "SIGTERM" { // the last one to the group ends the command
					continue
				}
				must(t, syscall.Kill(-group, unix.SignalNum(name)))
				expect("to the group", name)
			}
			must(t, syscall.Kill(-group, syscall.SIGTERM))
			expect("to the group", "SIGTERM")
			eventually(t, "the end", func() bool { return hasEnded(supervisor) })
			if got := x.log.signals(); !slices.Equal(got, want) {
				t.Errorf("the command got\n%q, want\n%q", got, want)
			}
			if c.clone != 0 { // the kernel does not let PID 1 end by it
				if err := x.cmd.Wait(); err == nil || err.Error() != "exit status 143" {
					t.Errorf("got %v, want exit status 143", err)
				}
			}
		})
	}
}

// status is a command that shows $?; it is quoted, so that the echo of our typing differs.
const status = "echo st''atus=$?\n"

// TestTerminal_Dialogue types at an interactive shell, or at a script that leads its
// session, with which no shell could continue a stopped command.
func TestTerminal_Dialogue(t *testing.T) {
	t.Parallel()
	stay := []string{"one\n", "one\r\none\r\n", "\x1a", "^Z", "two\n", "two\r\ntwo\r\n"}
	for name, c := range map[string]struct {
		script string // empty: an interactive shell
		clone  uintptr
		steps  []string
	}{
		// It is a stopped job, and continues in the foreground.
		"read in the background": {steps: []string{`set -b; "$BIN" /bin/cat &` + "\n", "Stopped", "", "/bin/cat", "fg\n", "/bin/cat",
			"line\n", "line\r\nline\r\n", "\x04", prompt, status, "status=0\r\n"}},
		// The command gets the terminal when it reads from it. Ctrl-Z stops the script, too.
		"script": {steps: []string{`sh -c '"$BIN" /bin/cat; echo af""ter=$?'` + "\n", "", "one\n", "one\r\none\r\n", "\x1a", "Stopped",
			"", prompt, "fg\n", "/bin/cat", "two\n", "two\r\ntwo\r\n", "\x04", "after=0\r\n", "", prompt}},
		// Ctrl-C ends the script, too, although its command does not read.
		"script interrupted": {steps: []string{`sh -c '"$BIN" /bin/sh -c "echo u\p; exec sleep 600"; echo st""atus=wrong'` + "\n", "up\r\n",
			"\x03", prompt, status, "status=130\r\n"}},
		// Another process of the pipeline reads from the terminal.
		"pager": {steps: []string{
			`"$BIN" /bin/sh -c 'echo page; exec sleep 600' | sh -c 'read a; echo $a; read b </dev/tty; echo got=$b; kill 0'` + "\n",
			"\r\npage\r\n", "key\n", "got=key\r\n", "", prompt}},
		// The command is a shell with job control. Killed, it cannot give the terminal back.
		"shell": {steps: []string{`"$BIN" /bin/bash --norc --noprofile --noediting -i` + "\n", prompt, "/bin/cat\n", "",
			"one\n", "one\r\none\r\n", "\x1a", prompt, "suspend\n", prompt, "fg\n", prompt, "kill -9 $$\n", prompt, status, "status=137\r\n"}},
		"leader":           {script: `exec "$BIN" /bin/cat`, steps: stay},
		"leader, PID 1":    {script: `exec "$BIN" /bin/cat`, clone: syscall.CLONE_NEWPID, steps: stay},
		"of leader":        {script: `"$BIN" /bin/cat; echo`, steps: stay},
		"of leader, PID 1": {script: `"$BIN" /bin/cat; echo`, clone: syscall.CLONE_NEWPID, steps: stay},
		// As in a chroot.
		"no /dev/tty": {script: `exec unshare --mount sh -c 'mount --bind /dev/null /dev/tty; exec "$BIN" /bin/cat'`, steps: stay},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var x *terminal
			if c.script == "" {
				x = openShell(t, stageEnv+"=supervise")
			} else {
				x = openTerminal(t, c.clone, []string{stageEnv + "=supervise"}, "/bin/sh", "-c", c.script)
			}
			x.dialogue(c.steps...)
		})
	}
}
