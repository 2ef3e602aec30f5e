package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	return &load{fixture: p, t: t, helper: released(t)}
}

func (l *load) startGet() *running {
	l.t.Helper()
	return l.start(l.command(l.helper, "get", "--format", "password", "--keychain-timeout", "30s"))
}

// runAll runs n, atOnce at a time, and waits for them. full, if there is one, is called
// when the first of them run.
func (l *load) runAll(n int, full func(first []*running)) []*running {
	l.t.Helper()
	list := make([]*running, 0, n)
	slots := make(chan struct{}, atOnce())
	var done sync.WaitGroup
	for len(list) < n {
		slots <- struct{}{}
		r := l.startGet()
		list = append(list, r)
		done.Go(func() {
			_ = r.cmd.Wait()
			<-slots
		})
		if full != nil && len(list) == min(n, cap(slots)) {
			full(list)
		}
	}
	done.Wait()
	return list
}

// wantTokens checks that each process printed a token, and that there are at most so many
// tokens. It returns one.
func (l *load) wantTokens(list []*running, most int) (last string) {
	l.t.Helper()
	seen := map[string]bool{}
	for _, r := range list {
		text, stderr := r.out.String(), r.err.String()
		if code := r.cmd.ProcessState.ExitCode(); code != 0 || stderr != "" || !token.MatchString(text) {
			l.t.Errorf("exit code %d: %s", code, stderr)
			continue
		}
		seen[text], last = true, text
	}
	if len(seen) < 1 || len(seen) > most {
		l.t.Errorf("got %d different tokens, want 1 to %d", len(seen), most)
	}
	return last
}

// wantCached checks that one get more prints the cached token.
func (l *load) wantCached(text string) {
	l.t.Helper()
	l.lakebase.ResetCounters()
	r := l.startGet()
	_ = r.cmd.Wait()
	if again := l.wantTokens([]*running{r}, 1); again != text {
		l.t.Error("the token was not cached")
	}
	l.wantMints(0, 0)
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
	l := newLoad(t)
	text := l.wantTokens(l.runAll(int(number(t, "LOAD_HELPERS", defaultHelpers)), nil), 1)
	l.wantMints(1, 1)
	if c := l.lakebase.Counters(); c.Requests != 2 || c.Handshakes > 2 {
		t.Errorf("got %d requests over %d connections, want 2: %v", c.Requests, c.Handshakes, c.ByCall)
	}
	l.wantCached(text)
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
func (l *load) leader() (leader *running, release func()) {
	l.t.Helper()
	release = holdToken(l.t, l.lakebase)
	leader = l.startGet()
	eventually(l.t, "the first signs in", func() bool { return l.lakebase.Counters().ByCall[emulator.CallToken] == 1 })
	return leader, release
}

// settle waits until the processes block at the lock of the one that signs in, but not
// longer than a get of ten seconds allows. The test must also pass for processes that
// are not there yet.
func (l *load) settle(list []*running) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !slices.ContainsFunc(list, func(r *running) bool { return !l.hasLock(r.cmd.Process.Pid) }) {
			return
		}
	}
}

// hasLock reports whether a process has a lock file of this fixture open.
func (p *fixture) hasLock(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	list, _ := os.ReadDir(dir)
	return slices.ContainsFunc(list, func(fd os.DirEntry) bool {
		path, err := os.Readlink(filepath.Join(dir, fd.Name()))
		return err == nil && strings.HasPrefix(path, p.run) && strings.HasSuffix(path, ".lock")
	})
}

// The process that signs in is killed: one of those that wait for it signs in instead.
func TestGet_MintingProcessKilled(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			l := newLoad(t)
			leader, release := l.leader()
			most := 1
			if sig == syscall.SIGSTOP {
				most = atOnce()
			}
			text := l.wantTokens(l.runAll(loadCallers, func(first []*running) {
				l.settle(first)
				must(t, leader.cmd.Process.Signal(sig))
			}), most)
			_ = leader.cmd.Process.Signal(syscall.SIGCONT)
			release()
			_ = leader.cmd.Wait()
			l.wantMints(1, 1+most)
			if sig == syscall.SIGKILL {
				if code := leader.cmd.ProcessState.ExitCode(); code != -1 {
					t.Errorf("the leader ended with %d", code)
				}
				l.wantCached(text)
			}
		})
	}
}
