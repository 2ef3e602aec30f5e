package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// counting supervises countStage in this process.
func counting(t *testing.T, env ...string) (*Supervised, journal) {
	log := newJournal(t)
	return startWith(t, Command{Path: self(t), Argv: []string{"counter"}}, append(generation(log, "one"), env...)), log
}

func generation(log journal, name string) []string {
	return []string{"CHILD_TEST_STAGE=count", "LOG=" + string(log), "GENERATION=" + name}
}

func TestRestart(t *testing.T) {
	s, log := counting(t)
	first, _, _ := log.ready(t, 1)
	if err := s.Restart(t.Context(), generation(log, "two"), time.Minute); err != nil {
		t.Fatal(err)
	}
	second, parent, name := log.ready(t, 2)
	if name != "two" || second == first || parent != os.Getpid() || state(first) != 0 {
		t.Errorf("pids %d and %d of %d, environment %q, the first is %q", first, second, parent, name, state(first))
	}
	if err := s.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	log.saw(t, "SIGUSR1", 1)
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	status, err := s.Wait()
	if err != nil || status != (Status{ExitCode: 130, Signal: syscall.SIGINT}) {
		t.Errorf("%+v, %v", status, err)
	}
	if got := log.signals(); !slices.Equal(got, []string{"SIGTERM", "SIGUSR1", "SIGINT"}) {
		t.Errorf("%q", got)
	}
	if err := s.Restart(t.Context(), nil, time.Second); !errors.Is(err, ErrEnded) {
		t.Errorf("a restart after the end: %v", err)
	}
}

// TestRestartKills a command that does not listen, not before the grace is over,
// and wakes one that is stopped.
func TestRestartKills(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs")
	s := start(t, `trap "" TERM; echo run >>`+file+`; while :; do sleep 0.05; done`)
	runs := func(n int) func() bool {
		return func() bool { data, _ := os.ReadFile(file); return strings.Count(string(data), "run") == n }
	}
	eventually(t, "the first run", runs(1))
	begun := time.Now()
	if err := s.Restart(t.Context(), []string{"PATH=/bin:/usr/bin"}, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	eventually(t, "the second run", runs(2))

	s, log := counting(t)
	pid, _, _ := log.ready(t, 1)
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stop", func() bool { return state(pid) == 'T' })
	if err := s.Restart(t.Context(), generation(log, "two"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := log.signals(); !slices.Contains(got, "SIGTERM") || !slices.Contains(got, "SIGCONT") {
		t.Errorf("%q", got)
	}
}

// TestRestartCalledOff: who asks for the end gets the end.
func TestRestartCalledOff(t *testing.T) {
	s, log := counting(t, "ENDS=2") // it lives until the second signal is there
	log.ready(t, 1)
	result := make(chan error, 1)
	go func() { result <- s.Restart(t.Context(), generation(log, "two"), time.Minute) }()
	log.saw(t, "SIGTERM", 1) // the restart's
	send(t, os.Getpid(), syscall.SIGTERM)
	if err := <-result; !errors.Is(err, ErrCalledOff) {
		t.Errorf("%v", err)
	}
	if status, err := s.Wait(); err != nil || status.Signal != syscall.SIGTERM {
		t.Errorf("%+v, %v", status, err)
	}
	if got := log.lines(); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// TestRestartCalledOffAtTheEnd: the signal that ended the command comes to us
// after the news of its end.
func TestRestartCalledOffAtTheEnd(t *testing.T) {
	for sig, want := range map[syscall.Signal]bool{syscall.SIGINT: true, syscall.SIGUSR1: false} {
		p := &parent{Supervised: newSupervised(), command: Command{Path: "/bin/true", Argv: []string{"true"}}, caught: catch(false)}
		if err := p.start(nil); err != nil {
			t.Fatal(err)
		}
		p.command = Command{Path: "/bin/sleep", Argv: []string{"sleep", "10"}}
		q := restartRequest{grace: time.Second, reply: make(chan error, 1)}
		p.restarting = &q
		<-p.caught.children
		p.caught.others <- sig
		over := p.collect()
		if err := <-q.reply; over != want || errors.Is(err, ErrCalledOff) != want || (p.pid == 0) != want {
			t.Errorf("%v: over is %v, pid %d, %v", sig, over, p.pid, err)
		}
		if !over {
			if err := p.send(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			for !over {
				<-p.caught.children
				over = p.collect()
			}
		}
	}
}

// TestLost: somebody else in this process has the command's status.
func TestLost(t *testing.T) {
	p := &parent{Supervised: newSupervised(), command: Command{Path: "/bin/true", Argv: []string{"true"}}, caught: catch(false)}
	if err := p.start(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(p.pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if !p.collect() {
		t.Fatal("it is not over")
	}
	if _, err := p.Wait(); !errors.Is(err, ErrLost) {
		t.Errorf("%v", err)
	}
}

// TestRestartFails: a command that is gone ends the whole, with its reason.
func TestRestartFails(t *testing.T) {
	path := put(t, t.TempDir(), "command", "#!/bin/sh\nexec sleep 10\n", 0o755)
	s := startWith(t, Command{Path: path, Argv: []string{path}}, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	var missing *NotFoundError
	if err := s.Restart(t.Context(), nil, time.Minute); !errors.As(err, &missing) {
		t.Errorf("Restart: %v", err)
	}
	if _, err := s.Wait(); !errors.As(err, &missing) {
		t.Errorf("Wait: %v", err)
	}
}

// TestRestartGoesOn: the caller's patience is not the restart's, and a second
// restart waits for the first.
func TestRestartGoesOn(t *testing.T) {
	end := filepath.Join(t.TempDir(), "end")
	s, log := counting(t, "UNTIL="+end)
	log.ready(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- s.Restart(ctx, generation(log, "two"), time.Minute) }()
	log.saw(t, "SIGTERM", 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := s.Restart(ctx, generation(log, "none"), time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	put(t, filepath.Dir(end), "end", "", 0o600)
	_, _, name := log.ready(t, 2)
	if err := s.Restart(t.Context(), generation(log, "three"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, _, last := log.ready(t, 3); name != "two" || last != "three" {
		t.Errorf("%q, then %q", name, last)
	}
}

// TestRestartAgainstEnd runs restarts, signals and a command that ends at about
// that time against each other: either it is restarted, or its own status is the
// end; never both, and never another.
func TestRestartAgainstEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs")
	for i := range 30 {
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		s := start(t, `echo >>`+file+`; sleep 0.0`+string(rune('0'+i%5))+`; exit 9`)
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Signal(syscall.SIGCONT) })
		var restarted error
		wg.Go(func() {
			time.Sleep(time.Duration(i%6) * 10 * time.Millisecond)
			restarted = s.Restart(t.Context(), []string{"PATH=/bin:/usr/bin"}, time.Second)
		})
		status, err := s.Wait()
		wg.Wait()
		if err != nil || status != (Status{ExitCode: 9}) {
			t.Fatalf("%+v, %v", status, err)
		}
		data, err := os.ReadFile(file)
		if restarted == nil && err == nil && len(data) <= 2 && len(data) >= 1 {
			continue
		}
		if !errors.Is(restarted, ErrEnded) || len(data) != 1 {
			t.Fatalf("restart: %v; %d runs", restarted, len(data))
		}
	}
}
