package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startLogger supervises logSignalsStage in this process.
func startLogger(t *testing.T, env ...string) (*Supervised, journal) {
	log := newJournal(t)
	return startCommand(t, Command{Path: self(t), Argv: []string{"logger"}}, append(generation(log, "one"), env...)), log
}

func generation(log journal, name string) []string {
	return []string{stageEnv + "=log-signals", "LOG=" + string(log), "GENERATION=" + name}
}

func TestRestart(t *testing.T) {
	s, log := startLogger(t)
	first, _, _ := log.waitReady(t, 1)
	must(t, s.Signal(syscall.SIGSTOP)) // it is continued, so that it receives SIGTERM
	eventually(t, "the stop", func() bool { return state(first) == 'T' })
	must(t, s.Restart(t.Context(), generation(log, "two"), time.Minute))
	second, parent, name := log.waitReady(t, 2)
	if name != "two" || second == first || second != s.PID() || parent != os.Getpid() || state(first) != 0 {
		t.Errorf("got PIDs %d and %d of %d, environment %q, the first is %q", first, second, parent, name, state(first))
	}
	must(t, s.Signal(syscall.SIGINT))
	if status, err := s.Wait(); err != nil || status != (Status{ExitCode: 130, Signal: syscall.SIGINT}) {
		t.Errorf("got %+v, %v", status, err)
	}
	got := slices.DeleteFunc(log.signals(), func(s string) bool { return s == "SIGCONT" })
	if want := []string{"SIGTERM", "SIGINT"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := s.Restart(t.Context(), nil, time.Second); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: got %v, want %v", err, ErrEnded)
	}
}

// A command that ignores SIGTERM is killed, but not before the grace has passed.
func TestRestart_Kills(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs")
	const script = `trap "" TERM; echo run >>"$0"; while :; do sleep 0.05; done`
	s := startCommand(t, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", script, file}}, nil)
	runs := func(n int) func() bool {
		return func() bool { data, _ := os.ReadFile(file); return strings.Count(string(data), "run") == n }
	}
	eventually(t, "the first run", runs(1))
	begin := time.Now()
	must(t, s.Restart(t.Context(), []string{"PATH=/bin:/usr/bin"}, 300*time.Millisecond))
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("got killed after %v, want 300ms", took)
	}
	eventually(t, "the second run", runs(2))
}

func TestRestart_CanceledBySignal(t *testing.T) {
	s, log := startLogger(t, "ENDS=2")
	log.waitReady(t, 1)
	result := make(chan error, 1)
	go func() { result <- s.Restart(t.Context(), generation(log, "two"), time.Minute) }()
	log.waitSignal(t, "SIGTERM") // the restart's
	must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	if err := <-result; !errors.Is(err, ErrEnded) {
		t.Errorf("got %v, want %v", err, ErrEnded)
	}
	if status, err := s.Wait(); err != nil || status.Signal != syscall.SIGTERM {
		t.Errorf("got %+v, %v", status, err)
	}
	got := slices.DeleteFunc(log.lines(), func(s string) bool { return s == "SIGCONT" })
	if !slices.Equal(got[1:], []string{"SIGTERM", "SIGTERM"}) {
		t.Errorf("got %q, want one start and two times SIGTERM", got)
	}
}

// The command has ended, but that is not known yet when a restart is requested, or when
// the signal that ended it cancels the restart: signals are not ordered.
func TestRestart_AfterUnseenEnd(t *testing.T) {
	for name, c := range map[string]struct {
		before bool           // the restart is requested before the end
		signal syscall.Signal // arrives after the end
		ends   bool
	}{
		"no restart":   {ends: true},
		"canceled":     {before: true, signal: syscall.SIGINT, ends: true},
		"not canceled": {before: true, signal: syscall.SIGUSR1},
	} {
		s := newSupervised(Command{Path: "/bin/true", Argv: []string{"true"}})
		s.catchSignals()
		must(t, s.start(nil))
		s.command = Command{Path: "/bin/sleep", Argv: []string{"sleep", "10"}}
		<-s.changed
		q := restartRequest{grace: time.Minute, reply: make(chan error, 1)}
		ended := false
		if c.before {
			s.restarting = &q
			s.caught <- c.signal
			ended = s.reap()
		} else {
			ended = s.beginRestart(q)
		}
		if err := <-q.reply; ended != c.ends || errors.Is(err, ErrEnded) != c.ends || (s.PID() == 0) != c.ends {
			t.Errorf("%s: got ended %v, PID %d, %v", name, ended, s.PID(), err)
		}
		if !ended {
			_ = s.Signal(syscall.SIGKILL)
			for !s.reap() {
				<-s.changed
			}
		}
		if _, err := s.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A command that cannot be started again ends the supervision, with its error.
func TestRestart_StartFails(t *testing.T) {
	path := writeFile(t, t.TempDir(), "command", "#!/bin/sh\nexec sleep 10\n", 0o755)
	s := startCommand(t, Command{Path: path, Argv: []string{path}}, nil)
	must(t, os.Remove(path))
	if err := s.Restart(t.Context(), nil, time.Minute); !isKind(err, NotFound) {
		t.Errorf("Restart: got %v", err)
	}
	if _, err := s.Wait(); !isKind(err, NotFound) {
		t.Errorf("Wait: got %v", err)
	}
}

// A restart continues after its caller's context, and another one waits for it.
func TestRestart_OutlivesContext(t *testing.T) {
	s, log := startLogger(t, "ENDS=2")
	log.waitReady(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- s.Restart(ctx, generation(log, "two"), time.Minute) }()
	log.waitSignal(t, "SIGTERM")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := s.Restart(ctx, generation(log, "none"), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	must(t, s.Signal(syscall.SIGTERM)) // unlike one to us it does not cancel the restart
	_, _, second := log.waitReady(t, 2)
	must(t, s.Restart(t.Context(), generation(log, "three"), time.Minute))
	if _, _, third := log.waitReady(t, 3); second != "two" || third != "three" {
		t.Errorf("got %q, then %q", second, third)
	}
}
