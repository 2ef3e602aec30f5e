package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// TestMatrix runs every file of testdata/matrix: one fault, and what must come
// out of it. A file is lines of words, in any order but for those that steer.
// Words are parted by blanks. Single quotes hold blanks, and two of them inside
// are one; double quotes hold a Go string. ${NAME} and ${NAME:ARG} are listed at
// expand. What happens:
//
//	# TEXT                      what it is about; comes first
//	target instance             the target is an instance, not an endpoint
//	env NAME=VALUE              empty: not set
//	lakebase COMMAND [WORD…]    steers the local Lakebase, as local-lakebase ctl does
//	later DURATION WORD…        the same, so long after the program was started
//	when waking|started WORD…   the same, as soon as the compute wakes, or the command was started;
//	                            a case in which that never comes fails
//	door workspace|compute MODE [BYTES]
//	                            another server stands there: see doorModes
//	run PROGRAM [OPTION…] [-- COMMAND…]
//	                            once; lakebase-exec's command is true where none is given
//
// What must come out, each of these once:
//
//	exit N
//	error RE, hint RE           the text of the one line of that kind; with exit 0 neither.
//	                            get says both in one line, parted by "; "
//	requests CALL=N[-M]…|none   calls that are not named: none
//	logins N[-M]                connections to the database; a run may have one more for each second
//	                            that it takes: another login is tried beside one that is held for a
//	                            second, and a busy machine holds them too
//	starts 0|1                  of the command
//
// and, as far as they are given:
//
//	says RE                     stderr has such a line
//	never TEXT                  is in no output
//	least DURATION              the whole run
//	life DURATION               from now to the expiry that get tells, give or take 10 s
//
// No case has a bound on its time: counts of requests and logins say whether a fault
// was met with a retry, and a run that hangs is ended after a limit of minutes.
//
// Always: nothing else is said, nothing steers a terminal, no secret or token is
// in any output or file, the stranger hears nothing, stdout is empty on failure;
// and for each command line that fails, the same one works without the fault.
func TestMatrix(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "matrix", "*.txt"))
	if err != nil || len(files) < leastCases {
		t.Fatalf("%d cases, not %d at the least: %v", len(files), leastCases, err)
	}
	m := &matrix{twins: map[string]bool{}}
	queue := make(chan string)
	var all sync.WaitGroup
	for range min(sideBySide, 4*runtime.GOMAXPROCS(0)) {
		all.Go(func() { m.work(t, queue) })
	}
	for _, f := range files {
		queue <- f
	}
	close(queue)
	all.Wait()
	t.Log(m.tally())
}

const (
	leastCases = 300
	sideBySide = 8 // most of a case's time is waiting
)

// matrix is the whole run.
type matrix struct {
	mu     sync.Mutex
	twins  map[string]bool // by command line, those that were tried
	done   []caseTime
	failed int
}

type caseTime struct {
	name string
	took time.Duration
}

// work runs cases on a Lakebase of its own.
func (m *matrix) work(t *testing.T, queue <-chan string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l, err := emulator.Start(ctx, emulator.Options{Instances: []string{matrixInstance}})
	if err != nil {
		t.Error(err)
	} else {
		defer func() {
			if err := l.Close(); err != nil {
				t.Errorf("the local Lakebase did not end well: %v", err)
			}
		}()
	}
	for file := range queue {
		if l == nil {
			continue // the queue has to be emptied
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) { m.tell(t, name, func() { m.play(t, l, file) }) })
	}
}

// tell keeps how a case went.
func (m *matrix) tell(t *testing.T, name string, play func()) {
	begin := time.Now()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.done = append(m.done, caseTime{name, time.Since(begin)})
		if t.Failed() {
			m.failed++
		}
	}()
	play()
}

// play runs one case, and its twin where that was not run yet.
func (m *matrix) play(t *testing.T, l *emulator.Lakebase, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCase(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	newStage(t, l, c).play()
	if c.exit == 0 || t.Failed() || !m.first(c.commandLine()) {
		return
	}
	twin := c.twin()
	newStage(t, l, twin).play()
	if t.Failed() {
		t.Error("the twin failed: the same command without the fault")
	}
}

// first says whether this command line is met for the first time.
func (m *matrix) first(line string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.twins[line] {
		return false
	}
	m.twins[line] = true
	return true
}

func (m *matrix) tally() string {
	slices.SortFunc(m.done, func(a, b caseTime) int { return cmp.Compare(b.took, a.took) })
	var slow []string
	for _, d := range m.done[:min(3, len(m.done))] {
		slow = append(slow, d.name+" "+d.took.Round(10*time.Millisecond).String())
	}
	return fmt.Sprintf("matrix: %d cases and %d twins, %d failures; slowest: %s", len(m.done), len(m.twins), m.failed, strings.Join(slow, ", "))
}
