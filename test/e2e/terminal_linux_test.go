package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// terminal is a terminal on which a program runs, and all that was shown on it.
type terminal struct {
	*fixture
	cmd   *exec.Cmd
	pty   *os.File
	begin time.Time
	done  chan struct{} // closed when nothing more is shown

	mu    sync.Mutex
	text  strings.Builder
	first time.Duration // when the first byte was shown; 0: none was
}

// startOnTerminal starts argv as the leader of a session with a terminal of its own.
func startOnTerminal(p *fixture, argv ...string) *terminal {
	p.t.Helper()
	s := &terminal{fixture: p, cmd: p.command(argv...), begin: time.Now(), done: make(chan struct{})}
	master, err := pty.Start(s.cmd)
	must(p.t, err)
	defer master.Close()
	// The same file in Go's poller, where Close interrupts a Read.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(p.t, err)
	must(p.t, unix.SetNonblock(fd, true))
	s.pty = os.NewFile(uintptr(fd), master.Name())
	p.t.Cleanup(func() { _ = s.pty.Close() })
	go func() {
		defer close(s.done)
		b := make([]byte, 4096)
		for {
			n, err := s.pty.Read(b)
			s.mu.Lock()
			if n > 0 && s.first == 0 {
				s.first = time.Since(s.begin)
			}
			s.text.Write(b[:n])
			s.mu.Unlock()
			if err != nil { // EIO when the last one closed it
				return
			}
		}
	}()
	return s
}

func (s *terminal) control(f func(fd int) error) {
	s.t.Helper()
	raw, err := s.pty.SyscallConn()
	must(s.t, err)
	var inner error
	must(s.t, errors.Join(raw.Control(func(fd uintptr) { inner = f(int(fd)) }), inner))
}

// termios returns the terminal's settings. On Linux the master's are those of the slave.
func (s *terminal) termios() (settings unix.Termios) {
	s.t.Helper()
	s.control(func(fd int) error {
		now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			settings = *now
		}
		return err
	})
	return settings
}

func (s *terminal) echo() bool { s.t.Helper(); return s.termios().Lflag&unix.ECHO != 0 }

func (s *terminal) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *terminal) typeText(text string) {
	s.t.Helper()
	if _, err := s.pty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program and for the rest of what it shows.
func (s *terminal) end() syscall.WaitStatus {
	s.t.Helper()
	_ = s.cmd.Wait()
	select {
	case <-s.done:
	case <-time.After(runLimit):
		s.t.Error("the terminal is still open")
	}
	if found := leakIn(s.lakebase, s.output()); found != "" {
		s.t.Errorf("the terminal shows %s", found)
	}
	return s.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// redrawing has the programs of a fixture find a terminal that can show the spinner.
func redrawing(p *fixture) *fixture {
	p.set("TERM=xterm", "LC_ALL=C.UTF-8")
	return p
}

// A wait that is long is shown. On a terminal it is a
// spinner, wiped before the command writes; elsewhere one plain line. The compute
// wakes when what is waited for has been shown.
func TestTerminal_Progress(t *testing.T) {
	t.Parallel()
	const output = "command's own output"
	words := "lakebase-exec: waiting for the compute to wake"
	const signing = `lakebase-exec: signing in to localhost:\d+` // a busy machine may take long for that too
	argv := []string{"lakebase-exec", "--", "printf", "%s", output}
	l := startLakebase(t, emulator.Options{})

	t.Run("spinner", func(t *testing.T) {
		suspend(t, l, emulator.StartingUp, emulator.Never)
		s := startOnTerminal(redrawing(newFixture(t, l)), argv...)
		eventually(t, "the spinner turns", func() bool { return strings.Count(s.output(), words) >= 5 })
		wakeAtOnce(t, l)
		if status := s.end(); status != 0 {
			t.Fatalf("ended with %s:\n%q", exitStatus(status), s.output())
		}
		if s.first < progressAfter {
			t.Errorf("the first was shown after %s, not after %s", s.first, progressAfter)
		}
		frame := regexp.MustCompile(`^\r[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] (` + words + `|` + signing + `) \(\d+ s\)\x1b\[K$`)
		wait, after, wiped := strings.Cut(s.output(), "\r\x1b[K"+output)
		if !wiped || after != "" {
			t.Fatalf("the spinner was not wiped right before the command's output, or something follows it: %q", s.output())
		}
		frames := strings.SplitAfter(wait, "\x1b[K")
		frames = frames[:len(frames)-1]
		for _, f := range frames {
			if !frame.MatchString(f) {
				t.Errorf("not a frame of the spinner: %q", f)
			}
		}
		if frames[0] == frames[1] {
			t.Errorf("it does not spin: %q", wait)
		}
	})
	for name, c := range map[string]struct {
		end  func(*terminal)
		want syscall.Signal
	}{
		"ctrl-c": {func(s *terminal) { s.typeText("\x03") }, syscall.SIGINT},
		"quit":   {func(s *terminal) { s.typeText("\x1c") }, syscall.SIGQUIT},
		"term":   {func(s *terminal) { _ = s.cmd.Process.Signal(syscall.SIGTERM) }, syscall.SIGTERM},
	} {
		t.Run(name+" clears it", func(t *testing.T) {
			suspend(t, l, emulator.Held, emulator.Never)
			s := startOnTerminal(redrawing(newFixture(t, l)), argv...)
			eventually(t, "the spinner turns", func() bool { return strings.Contains(s.output(), words) })
			c.end(s)
			if status := s.end(); !status.Signaled() || status.Signal() != c.want || !strings.HasSuffix(s.output(), "\r\x1b[K") {
				t.Errorf("ended with %s, want %s; the terminal shows %q", exitStatus(status), c.want, s.output())
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		suspend(t, l, emulator.Held, emulator.Never)
		p := newFixture(t, l)
		said := filepath.Join(p.home, "said")
		r := p.start(p.command(append([]string{"sh", "-c", `exec "$@" 2>"$0"`, said}, argv...)...))
		read := func() string { data, _ := os.ReadFile(said); return string(data) }
		eventually(t, "it is said what is waited for", func() bool { return strings.Contains(read(), words+"\n") })
		wakeAtOnce(t, l)
		o := r.wait().wantExit(0)
		if o.stderr = read(); strings.Count(o.stderr, words+"\n") != 1 || progress.ReplaceAllString(o.stderr, "") != "" || o.stdout != output {
			t.Errorf("stderr %q, stdout %q; wanted is one plain line", o.stderr, o.stdout)
		}
	})
}

// login asks without echo, stores what is typed, and leaves the terminal as it
// was, also when it is interrupted.
func TestLogin_Prompt(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	const prompt = "(not shown): "
	ask := func(t *testing.T, p *fixture) *terminal {
		p.t = t
		s := startOnTerminal(p, "lakebase-credential-helper", "login")
		eventually(t, "the prompt is shown", func() bool { return strings.HasSuffix(s.output(), prompt) })
		eventually(t, "echo is off", func() bool { return !s.echo() })
		return s
	}
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	t.Run("typed", func(t *testing.T) {
		s := ask(t, p)
		s.typeText(l.ClientSecret + "\r")
		if status := s.end(); status != 0 || strings.Contains(s.output(), l.ClientSecret[:8]) || !s.echo() {
			t.Fatalf("ended with %s, echo is %v:\n%s", exitStatus(status), s.echo(), s.output())
		}
		if o := p.do("lakebase-credential-helper", "list").wantExit(0); !strings.Contains(o.stdout, l.ClientID) {
			t.Errorf("the secret is not in the keychain:\n%s", o.stdout)
		}
	})
	for name, answer := range map[string]string{"ctrl-d": "\x04", "empty": "\r", "blank": "  \r", "ctrl-d after text is no end": " \x04\x04"} {
		t.Run(name, func(t *testing.T) {
			s := ask(t, p)
			s.typeText(answer)
			if status := s.end(); status.ExitStatus() != 121 || !s.echo() ||
				!strings.Contains(s.output(), "error: no secret was given\r\n") || !strings.Contains(s.output(), "hint: run the command again") {
				t.Errorf("ended with %s, want exit code 121; echo is %v, the terminal shows %q", exitStatus(status), s.echo(), s.output())
			}
		})
	}
	for sig, typed := range map[syscall.Signal]string{syscall.SIGINT: "\x03", syscall.SIGQUIT: "\x1c", syscall.SIGTERM: "",
		syscall.SIGHUP: "", syscall.SIGABRT: ""} {
		t.Run(sig.String(), func(t *testing.T) {
			s := ask(t, p)
			s.typeText(l.ClientSecret[:8])
			// The kernel reads typed text asynchronously, and would echo it if the
			// signal had restored the echo before.
			time.Sleep(200 * time.Millisecond)
			if s.typeText(typed); typed == "" {
				must(t, s.cmd.Process.Signal(sig))
			}
			if status := s.end(); !status.Signaled() || status.Signal() != sig || !s.echo() {
				t.Errorf("ended with %s, want the signal %s; echo is %v", exitStatus(status), sig, s.echo())
			}
			if strings.Contains(s.output(), l.ClientSecret[:8]) || strings.Contains(s.output(), "goroutine") {
				t.Errorf("the terminal shows %q", s.output())
			}
		})
	}
}
