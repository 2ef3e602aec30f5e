package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// compute counts the beginnings and the ends of suspensions: an odd count says
// that one is under way. A session that saw the count change may have been cut.
type compute struct{ count atomic.Int64 }

// seen is the count as a session finds it.
func (c *compute) seen() int64 { return c.count.Load() }

// cut says whether a session that began at seen may have lost its server.
func (c *compute) cut(seen int64) bool { return seen%2 == 1 || c.count.Load() != seen }

// kinds are the faults. %s is replaced by a wake's mode.
var kinds = []struct {
	name     string
	commands []string
}{
	{"workspace 503", []string{"fault credentials status=503 times=2"}},
	{"workspace 503 at sign-in", []string{"fault token status=503"}},
	{"workspace 429", []string{"fault credentials status=429 retry-after=1"}},
	{"workspace dropped", []string{"fault token drop"}},
	{"workspace cut short", []string{"fault credentials truncate"}},
	{"workspace slow", []string{"fault credentials slow=1500ms"}},
	{"login reset", []string{"login-fault startup reset times=3"}},
	{"login reset before TLS", []string{"login-fault request reset times=3"}},
	{"login closed", []string{"login-fault ready close times=2"}},
	{"compute starting", []string{"login-fault password code=57P03 message=starting times=3"}},
	{"too many connections", []string{"login-fault password code=53300 message=full times=3"}},
	{"token refused", []string{"login-fault password code=28P01 message=refused"}},
	{"suspended", []string{"wake %s 700ms", "suspend"}},
}

var wakes = []string{"held", "refused", "reset", "57P03", "xx000", "silent"}

// faults puts one in every few seconds.
type faults struct {
	random  *rand.Rand
	compute *compute
	report  *report
	deck    []int // of kinds, in the order of their turns
}

// next is each kind once before any comes again.
func (f *faults) next() int {
	if len(f.deck) == 0 {
		f.deck = f.random.Perm(len(kinds))
	}
	i := f.deck[0]
	f.deck = f.deck[1:]
	return i
}

// run goes on until ctx ends, which is no error.
func (f *faults) run(ctx context.Context) error {
	for {
		pause := time.Duration((0.5 + f.random.Float64()) * float64(betweenF))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		kind := kinds[f.next()]
		for _, c := range kind.commands {
			c = strings.ReplaceAll(c, "%s", wakes[f.random.IntN(len(wakes))])
			if c == "suspend" {
				f.compute.count.Add(1)
			}
			_, err := ctl(c)
			if c == "suspend" {
				f.compute.count.Add(1)
			}
			if err != nil {
				return err
			}
		}
		f.report.fault(kind.name)
	}
}

// calm takes back what no call has met yet.
func (f *faults) calm() error {
	_, err := ctl("clear-faults")
	return err
}

// ctl steers the local Lakebase.
func ctl(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "local-lakebase", append([]string{"ctl"}, strings.Fields(command)...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctl %s: %w: %s", command, err, out)
	}
	return string(out), nil
}
