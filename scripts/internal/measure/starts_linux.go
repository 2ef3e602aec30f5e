package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	coldRuns  = 15
	warmRuns  = 100
	lateRuns  = 6 // of each mode
	roundTrip = 40 * time.Millisecond
)

// cold compares a start that has the secret alone with the guide's script, on a
// network where a request costs one round trip and a new connection two more.
// --cache off is a cold start without leftovers to delete between the runs.
func cold(t *table, guide string) error {
	if _, err := ctl("set", "latency="+roundTrip.String(), "connect-latency="+(2*roundTrip).String()); err != nil {
		return err
	}
	secret, err := lookup("secret:")
	if err != nil {
		return err
	}
	ours := &side{argv: []string{"lakebase-exec", "--wait", "never", "--cache", "off", "--", "true"}, requests: 2, connections: 1}
	script := &side{argv: []string{"bash", guide, "true"}, extra: []string{"DATABRICKS_CLIENT_SECRET=" + secret}, requests: 2, connections: 2}
	if err := interleave(coldRuns, ours, script); err != nil {
		return err
	}
	t.limited("cold start; curl and jq", ours.ms(), script.ms(), ratio(ours, script), 0.75, "%.2f")
	_, err = ctl("set", "latency=0s", "connect-latency=0s")
	return err
}

// warm compares a start whose token is in the keychain with reading that very
// item by secret-tool, and takes the peak of its memory.
func warm(t *table) error {
	// A login leaves token and stamp for what follows.
	if err := (&side{argv: []string{"lakebase-exec", "--wait", "always", "--", "true"}}).run(); err != nil {
		return err
	}
	account, err := item("token:")
	if err != nil {
		return err
	}
	never := &side{argv: []string{"lakebase-exec", "--wait", "never", "--", "true"}}
	auto := &side{argv: []string{"lakebase-exec", "--", "true"}}
	tool := &side{argv: []string{"secret-tool", "lookup", "service", "lakebase", "username", account}}
	if err := interleave(warmRuns, never, auto, tool); err != nil {
		return err
	}
	t.limited("warm start; secret-tool lookup", never.ms(), tool.ms(), ratio(never, tool), 0.7, "%.2f")
	t.row("warm start, login proved < 45 s ago", auto.ms(), tool.ms(), fmt.Sprintf("%.2f", ratio(auto, tool)), "", "")
	return memory(t, never.argv)
}

// memory is the highest resident size of a command, before and after it replaced
// itself. Linux counts our own memory in for the time up to execve (vfork), so
// that the same measure of an empty command is the least that can be seen.
func memory(t *table, argv []string) error {
	floor, err := peak([]string{"true"})
	if err != nil {
		return err
	}
	ours, err := peak(argv)
	if err != nil {
		return err
	}
	value := fmt.Sprintf("%.1f MiB", ours)
	if ours <= floor {
		value = "at most " + value
	}
	t.row("peak memory of a warm start", "", "", value, "", "")
	return nil
}

// peak is in MiB; Linux gives KiB.
func peak(argv []string) (float64, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("no resource usage here")
	}
	return float64(r.Maxrss) / 1024, nil
}

// late measures how long after the compute is up the command starts.
func late(t *table) error {
	for _, mode := range []string{"held", "refused"} {
		var lateness []time.Duration
		for range lateRuns {
			d, err := wake(mode, time.Second+rand.N(4*time.Second))
			if err != nil {
				return err
			}
			lateness = append(lateness, d)
		}
		slices.Sort(lateness)
		worst := lateness[len(lateness)-1]
		t.limited("lateness after a wake, "+mode, fmt.Sprintf("median %.0f ms", millis(lateness[len(lateness)/2])), "", worst.Seconds(), 0.6, "%.2f s")
	}
	return nil
}

// wake puts the compute to sleep and runs a command that tells when it started.
func wake(mode string, takes time.Duration) (time.Duration, error) {
	for _, words := range [][]string{{"suspend"}, {"wake", mode, takes.String()}} {
		if _, err := ctl(words...); err != nil {
			return 0, err
		}
	}
	out, err := exec.Command("lakebase-exec", "--wait", "always", "--", "date", "+%s%N").Output()
	if err != nil {
		return 0, fmt.Errorf("a wake that is %s: %w", mode, err)
	}
	status, err := ctl("status")
	if err != nil {
		return 0, err
	}
	started, err1 := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	up, err2 := strconv.ParseInt(status["up_at"], 10, 64)
	if err1 != nil || err2 != nil || up == 0 || started < up {
		return 0, fmt.Errorf("a wake that is %s: up at %q, started at %q", mode, status["up_at"], out)
	}
	return time.Duration(started - up), nil
}

// item is the name of the stored item that begins so; the item "index" lists all.
func item(prefix string) (string, error) {
	index, err := exec.Command("secret-tool", "lookup", "service", "lakebase", "username", "index").Output()
	if err != nil {
		return "", fmt.Errorf("the keychain's index: %w", err)
	}
	for _, l := range strings.Split(string(index), "\n") {
		if strings.HasPrefix(l, prefix) {
			return l, nil
		}
	}
	return "", fmt.Errorf("nothing in the keychain begins with %s", prefix)
}

func lookup(prefix string) (string, error) {
	account, err := item(prefix)
	if err != nil {
		return "", err
	}
	out, err := exec.Command("secret-tool", "lookup", "service", "lakebase", "username", account).Output()
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
