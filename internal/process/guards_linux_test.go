package process

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A restart that comes when the command has ended by itself, and before anybody
// has noticed, starts nothing.
func TestRestartComesTooLate(t *testing.T) {
	p := &parent{Supervised: newSupervised(), command: Command{Path: "/bin/true", Argv: []string{"true"}}}
	p.caught = catch(false)
	if err := p.start([]string{"A=b"}); err != nil {
		t.Fatal(err)
	}
	pid := p.pid
	for end := time.Now().Add(30 * time.Second); state(pid) != 'Z'; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the command is %q", state(pid))
		}
	}
	q := restartRequest{environ: []string{"A=c"}, grace: time.Minute, reply: make(chan error, 1)}
	if !p.askToEnd(q) {
		t.Error("the restart goes on")
		_ = p.collect()
	}
	select {
	case err := <-q.reply:
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%v", err)
		}
	default:
		t.Error("the restart has no answer")
	}
	if status, err := p.Wait(); err != nil || status.ExitCode != 0 || p.pid != 0 {
		t.Errorf("%+v, %v; there runs %d", status, err, p.pid)
	}
}

// hardenedStage tells its own limit of core dumps before and after Harden.
func hardenedStage() {
	must(unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 4096, Max: 8192}))
	for range 2 {
		var l unix.Rlimit
		must(unix.Getrlimit(unix.RLIMIT_CORE, &l))
		print(l.Cur, " ")
		must(Harden())
	}
}

func TestHardenedDumpsNoCore(t *testing.T) {
	cmd := exec.Command(self(t))
	cmd.Env = []string{quick, "CHILD_TEST_STAGE=hardened"}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "4096 0" {
		t.Errorf("core limits %q, %v", out, err)
	}
}
