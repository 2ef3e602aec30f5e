package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// loadCallers is how many helpers start in the tests of faults, defaultHelpers in
// TestGet_OneMintForAll without LOAD_HELPERS.
const (
	loadCallers    = 60
	defaultHelpers = 1000
)

// atOnce is how many programs run at the same time. get has ten seconds in all: more
// than a slow machine finishes in that time must not run at once.
func atOnce() int { return min(16*runtime.GOMAXPROCS(0), 128) }

// load is a fixture with an unlocked keyring and a helper without the race
// detector, which would make each process ten times as expensive.
type load struct {
	*fixture
	t      *testing.T
	helper string
}

func newLoad(t *testing.T) *load {
	t.Helper()
	l := startLakebase(t, emulator.Options{NoPostgres: true, Settings: emulator.Settings{Latency: 200 * time.Millisecond}})
	p := newKeyringFixture(t, l, testkeyring.Unlocked).defaultCache()
	p.login()
	l.ResetCounters()
	return &load{fixture: p, t: t, helper: filepath.Join(released(t), "lakebase-credential-helper")}
}

// getProcess is one get.
type getProcess struct {
	cmd         *exec.Cmd
	out, stderr bytes.Buffer
	code        int // -1 when a signal ended it
}

// startGet starts a get.
func (l *load) startGet() *getProcess {
	l.t.Helper()
	a := &getProcess{cmd: l.command(l.helper, "get", "--format", "password", "--keychain-timeout", "30s")}
	a.cmd.Stdout, a.cmd.Stderr = &a.out, &a.stderr
	must(l.t, a.cmd.Start())
	return a
}

func (a *getProcess) wait() *getProcess {
	_ = a.cmd.Wait()
	a.code = a.cmd.ProcessState.ExitCode()
	return a
}

// runAll runs n, atOnce at a time, and waits for them. full, if there is one, is called
// when the first of them run; ended counts those that have ended.
func (l *load) runAll(n int, full func(first []*getProcess), ended *atomic.Int32) []*getProcess {
	l.t.Helper()
	list := make([]*getProcess, 0, n)
	slots := make(chan struct{}, atOnce())
	var done sync.WaitGroup
	for len(list) < n {
		slots <- struct{}{}
		a := l.startGet()
		list = append(list, a)
		done.Go(func() {
			a.wait()
			ended.Add(1)
			<-slots
		})
		if full != nil && len(list) == min(n, cap(slots)) {
			full(list)
		}
	}
	done.Wait()
	return list
}

// tokensOf checks that each process printed a token or, if locked allows it, the error
// of a locked keychain. It returns the distinct tokens, and the number of processes
// that printed one.
func (l *load) tokensOf(list []*getProcess, lockedToo bool) (tokens []string, had int) {
	l.t.Helper()
	seen := map[string]bool{}
	for _, a := range list {
		text := a.out.String()
		switch {
		case a.code == 0 && a.stderr.Len() == 0 && token.MatchString(text):
			had++
			if !seen[text] {
				seen[text], tokens = true, append(tokens, text)
			}
		case a.code == 121 && lockedToo && text == "" && strings.Count(a.stderr.String(), "\n") == 1:
		default:
			l.t.Errorf("exit code %d: %s", a.code, a.stderr.String())
		}
	}
	return tokens, had
}

// sameToken is answered where all have the same token.
func (l *load) sameToken(list []*getProcess, lockedToo bool) (text string, had int) {
	l.t.Helper()
	tokens, had := l.tokensOf(list, lockedToo)
	if len(tokens) != 1 {
		l.t.Errorf("%d of %d have a token, and there are %d different ones", had, len(list), len(tokens))
		return "", had
	}
	return tokens[0], had
}

// wantMints checks how many requests of each kind were made.
func (l *load) wantMints(least, most int) {
	l.t.Helper()
	n := l.lakebase.Counters()
	for _, call := range []emulator.Call{emulator.CallToken, emulator.CallCredentials} {
		if got := n.ByCall[call]; got < least || got > most {
			l.t.Errorf("%d requests of %s, not %d to %d", got, call, least, most)
		}
	}
}

// TestGet_OneMintForAll starts LOAD_HELPERS helpers, atOnce at a time, with an empty
// cache: one signs in for all, each has its token, and the token stays cached.
func TestGet_OneMintForAll(t *testing.T) {
	t.Parallel()
	n := int(number(t, "LOAD_HELPERS", defaultHelpers))
	l := newLoad(t)
	l.mark()
	text, had := l.sameToken(l.runAll(n, nil, &atomic.Int32{}), false)
	if had != n {
		t.Errorf("got %d of %d tokens", had, n)
	}
	l.wantMints(1, 1)
	if c := l.lakebase.Counters(); c.Requests != 2 || c.Handshakes > 2 {
		t.Errorf("got %d requests over %d connections, want 2: %v", c.Requests, c.Handshakes, c.ByCall)
	}
	l.nothingLeft()
	l.lakebase.ResetCounters()
	if again, had := l.sameToken([]*getProcess{l.startGet().wait()}, false); had != 1 || again != text {
		t.Error("the token was not cached")
	}
	l.wantMints(0, 0)
}

// holdToken keeps back the answer to the next request of a workspace token.
func holdToken(t *testing.T, l *emulator.Lakebase) (release func()) {
	t.Helper()
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	l.Set(func(s *emulator.Settings) { s.Faults = []emulator.Fault{{Call: emulator.CallToken, Hold: held}} })
	return release
}

// leader starts a get, and returns when it signs in and is held there.
func (l *load) leader() (leader *getProcess, release func()) {
	l.t.Helper()
	release = holdToken(l.t, l.lakebase)
	leader = l.startGet()
	eventually(l.t, "the first signs in", func() bool { return l.lakebase.Counters().ByCall[emulator.CallToken] == 1 })
	return leader, release
}

// settle waits until the processes block at the lock of the one that signs in, but not
// longer than a get of ten seconds allows. The test must also pass for processes that
// are not there yet.
func (p *fixture) settle(pids ...int) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		there := 0
		for _, pid := range pids {
			if p.hasLock(pid) {
				there++
			}
		}
		if there == len(pids) {
			return
		}
	}
}

// hasLock reports whether a process has a lock file of this fixture open.
func (p *fixture) hasLock(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	list, _ := os.ReadDir(dir)
	for _, fd := range list {
		if path, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasPrefix(path, p.run) && strings.HasSuffix(path, ".lock") {
			return true
		}
	}
	return false
}

func pids(list []*getProcess) (pids []int) {
	for _, a := range list {
		pids = append(pids, a.cmd.Process.Pid)
	}
	return pids
}

// The process that signs in is killed or stopped meanwhile. Processes that wait for a
// stopped one may each sign in.
func TestGet_MintingProcessKilled(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			l := newLoad(t)
			leader, release := l.leader()
			list := l.runAll(loadCallers, func(first []*getProcess) {
				l.settle(pids(first)...)
				must(t, leader.cmd.Process.Signal(sig))
			}, &atomic.Int32{})
			tokens, had := l.tokensOf(list, false)
			if had != loadCallers {
				t.Errorf("%d answers", had)
			}
			_ = leader.cmd.Process.Signal(syscall.SIGCONT)
			release()
			leader.wait()
			if sig == syscall.SIGSTOP {
				l.wantMints(1, 1+atOnce())
			} else {
				l.wantMints(1, 2)
				if leader.code != -1 || len(tokens) != 1 {
					t.Errorf("the leader ended with %d, and there are %d tokens", leader.code, len(tokens))
				}
			}
			l.lakebase.ResetCounters()
			if again, _ := l.sameToken([]*getProcess{l.startGet().wait()}, false); sig == syscall.SIGKILL && again != tokens[0] {
				t.Error("the token was not kept")
			}
			l.wantMints(0, 0)
		})
	}
}

// A keychain that is locked while one signs in.
func TestGet_KeychainLockedMeanwhile(t *testing.T) {
	t.Parallel()
	lock := func(l *load) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(l.t, l.keyring.Lock(ctx))
	}
	t.Run("while one signs in", func(t *testing.T) {
		l := newLoad(t)
		leader, release := l.leader()
		list := l.runAll(loadCallers, func(first []*getProcess) {
			l.settle(pids(first)...)
			lock(l)
			release()
		}, &atomic.Int32{})
		leader.wait()
		_, had := l.sameToken(append(list, leader), true)
		t.Logf("%d of %d had the token", had, loadCallers+1)
		if leader.code != 0 {
			t.Errorf("the leader, which had read the secret, ended with %d: %s", leader.code, leader.stderr.String())
		}
		l.wantMints(1, 2)
	})
}
