package e2e

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Kills in all, and how many come one after the other before it is looked at what
// they have left.
const (
	defaultKills = 50
	batch        = 5
)

// busyMachineAllowance is what a run may take longer than usual on a busy machine. One that meets
// a lock that is not released takes longer still.
const busyMachineAllowance = 15 * time.Second

// number returns the number in a variable of the test, or fallback.
func number(t *testing.T, name string, fallback uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestCrash kills the programs at random moments of all that they write. What they
// leave has to work, and the next run has to clear it away. CRASH_KILLS says how
// often; CRASH_SEED repeats the moments of an earlier test.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := number(t, "CRASH_SEED", rand.Uint64())
	areas := []struct {
		name string
		part func(c *crash, kills int)
	}{{"login", crashLogin}, {"get", crashGet}, {"rotate", crashRotate}, {"passfile", crashPassfile}, {"proxy", crashProxy}}
	each := max(1, int(number(t, "CRASH_KILLS", defaultKills))/len(areas))
	t.Logf("%d kills in each of %d areas; CRASH_SEED=%d repeats them", each, len(areas), seed)
	var all sync.WaitGroup
	for i, area := range areas {
		all.Go(func() {
			t.Run(area.name, func(t *testing.T) {
				c := &crash{t: t, random: rand.New(rand.NewPCG(seed, uint64(i))), reach: 1}
				area.part(c, each)
				t.Logf("%d of %d were killed before their end", c.dead, c.kills)
				if c.kills < each || c.dead < c.kills/4 {
					t.Errorf("%d of %d were killed before their end", c.dead, c.kills)
				}
			})
		})
	}
	all.Wait()
}

// crash is one area in which programs are killed.
type crash struct {
	*fixture
	t           *testing.T
	random      *rand.Rand
	kills, dead int
	reach       float64 // how far into the span kills go, as a part of it
}

// batches calls strike so often, and look after each batch and at the end.
func (c *crash) batches(kills int, strike func(i int), look func()) {
	c.t.Helper()
	for i := range kills {
		strike(i)
		if i%batch == batch-1 || i == kills-1 {
			look()
		}
		if c.t.Failed() {
			c.t.Fatalf("after kill %d of %d", i+1, kills)
		}
	}
}

// kill starts cmd and kills it at a random moment of the span. One that came behind the
// run's end shortens the reach of the next, since the span was taken from a run that
// had more to do, or less of the machine. before, if there is one, is called ahead of
// the wait for the end.
func (c *crash) kill(cmd *exec.Cmd, span time.Duration, before func()) *result {
	c.t.Helper()
	r := c.start(cmd)
	at := c.random.Float64() * c.reach
	time.Sleep(time.Duration(at * float64(span)))
	must(c.t, cmd.Process.Signal(syscall.SIGKILL))
	if before != nil {
		before()
	}
	o := r.wait()
	c.kills++
	if o.status.Signaled() && o.status.Signal() == syscall.SIGKILL {
		c.dead++
		c.reach = min(1, c.reach*1.05)
	} else {
		o.wantExit(0)
		c.reach = at
	}
	return o
}

// wantQuick wants that a run works, in the time that it usually takes.
func (c *crash) wantQuick(usual time.Duration, cmd *exec.Cmd) *result {
	c.t.Helper()
	o := c.finish(cmd).wantExit(0)
	if o.took > usual+busyMachineAllowance {
		c.t.Errorf("%v took %s, and usually takes %s", o.argv, o.took, usual)
	}
	return o
}

// makeOld sets the modification time of all files in a directory to some minutes ago.
// Younger files may belong to a running program.
func (c *crash) makeOld(dirs ...string) {
	c.t.Helper()
	past := time.Now().Add(-5 * time.Minute)
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_ = os.Chtimes(path, past, past)
			}
			return nil
		})
	}
}

// expectedFiles are the files that remain in the runtime and configuration directories
// after a run: locks, records of logins, cached tokens, stored secrets with their
// records, profiles.
var expectedFiles = regexp.MustCompile(`^([0-9a-z-]+\.(lock|login)|token-[0-9a-f]{64}\.json|[0-9a-f]{64}\.json(\.rotation)?|\.?profiles\.ini(\.lock)?)$`)

// wantTidy wants that the folders hold nothing but what belongs there.
func (c *crash) wantTidy(dirs ...string) {
	c.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && (path == dir || d.Name() == "secrets" || d.Name() == "socket") {
				return err
			}
			if !expectedFiles.MatchString(d.Name()) {
				c.t.Errorf("%s is left", path)
			}
			return nil
		})
		if err != nil {
			c.t.Error(err)
		}
	}
}
