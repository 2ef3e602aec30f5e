// Package control is the language that steers a running local Lakebase: one
// command, as words, at a time. Both `local-lakebase ctl` and the tests' stories
// speak it. It must never do what the emulator's own methods cannot.
package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// ErrUsage marks a command that cannot be understood.
var ErrUsage = errors.New("usage")

// Do carries out one command and returns what it prints. ErrUsage marks words
// that make no command; nothing is changed by those.
func Do(ctx context.Context, l *emulator.Lakebase, words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("%w: ctl suspend|resume|wake|set|fault|clear-faults|secrets|add-secret|delete-secret|requests|logins|status|reset", ErrUsage)
	}
	name, args := words[0], words[1:]
	switch name {
	case "suspend":
		return "", l.Suspend(ctx)
	case "resume":
		return "", l.Resume(ctx)
	case "wake":
		if len(args) != 2 {
			return "", fmt.Errorf("%w: ctl wake MODE DURATION", ErrUsage)
		}
		mode, takes, err := ParseWake(args[0], args[1])
		if err == nil {
			l.SetWake(mode, takes)
		}
		return "", err
	case "set":
		return "", set(l, args)
	case "fault":
		f, err := parseFault(args)
		if err == nil {
			l.Set(func(s *emulator.Switches) { s.Faults = append(s.Faults, f) })
		}
		return "", err
	case "clear-faults":
		l.Set(func(s *emulator.Switches) { s.Faults = nil })
		return "", nil
	case "status":
		return status(l), nil
	case "secrets":
		var b strings.Builder
		for _, s := range l.Secrets() {
			fmt.Fprintf(&b, "%s %d %d\n", s.ID, s.Created.Unix(), s.Expire.Unix())
		}
		return b.String(), nil
	case "add-secret":
		s, err := l.AddSecret()
		return s.ID + "\n", err
	case "delete-secret":
		if len(args) != 1 {
			return "", fmt.Errorf("%w: ctl delete-secret ID", ErrUsage)
		}
		return "", l.DeleteSecret(args[0])
	case "requests", "logins":
		return records(l, name, slices.Contains(args, "--reset")), nil
	case "reset":
		l.ResetCounters()
		return "", nil
	}
	return "", fmt.Errorf("%w: no such command: %q", ErrUsage, name)
}

// records prints one line for each request or login; times are Unix nanoseconds.
func records(l *emulator.Lakebase, which string, reset bool) string {
	var b strings.Builder
	if which == "requests" {
		for _, q := range l.Requests() {
			fmt.Fprintf(&b, "%d %s %s %s %d %s %s\n", q.Time.UnixNano(), q.Call, q.Method, q.Path, q.Status, q.Proto, q.Remote)
		}
	} else {
		for _, n := range l.Logins() {
			fmt.Fprintf(&b, "%d %d %q %q %q %q %q\n", n.Time.UnixNano(), n.Decided.UnixNano(), n.User, n.Database, n.Application, n.SQLState, n.Result)
		}
	}
	if reset {
		l.ResetCounters()
	}
	return b.String()
}

// status is plain name=value lines; a time that there is not is 0.
func status(l *emulator.Lakebase) string {
	n, s := l.Counters(), l.Switches()
	var b strings.Builder
	fmt.Fprintf(&b, "state=%s\nup_at=%d\nwoken_at=%d\nwake=%s\nwake_time=%s\n", l.State(), nanos(l.UpAt()), nanos(l.WokenAt()), wakeName(s.Wake), wakeTime(s.WakeTime))
	fmt.Fprintf(&b, "requests=%d\nconnections=%d\nhandshakes=%d\nlogins=%d\nlogins_ok=%d\ncancels=%d\n", n.Requests, n.Connections, n.Handshakes, n.Logins, n.LoginsOK, n.Cancels)
	for _, call := range emulator.Calls() {
		if call != emulator.AnyCall {
			fmt.Fprintf(&b, "requests_%s=%d\n", call, n.ByCall[call])
		}
	}
	fmt.Fprintf(&b, "secrets=%d\n", len(l.Secrets()))
	fmt.Fprintf(&b, "faults=%d\npid=%d\ndir=%s\n", len(s.Faults), os.Getpid(), l.Dir())
	return b.String()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func wakeName(m emulator.WakeMode) emulator.WakeMode {
	if m == "" {
		return emulator.Held
	}
	return m
}

func wakeTime(d time.Duration) string {
	if d == emulator.Never {
		return "never"
	}
	return d.String()
}

// Modes lists the ways in which a compute wakes.
func Modes() string {
	var out []string
	for _, m := range emulator.WakeModes() {
		out = append(out, string(m))
	}
	return strings.Join(out, ", ")
}

// ParseWake reads a mode and a duration, which may be "never".
func ParseWake(mode, takes string) (emulator.WakeMode, time.Duration, error) {
	for _, m := range emulator.WakeModes() {
		if string(m) != mode {
			continue
		}
		if takes == "never" {
			return m, emulator.Never, nil
		}
		d, err := time.ParseDuration(takes)
		if err != nil || d < 0 {
			return m, 0, fmt.Errorf("%w: wake duration %q", ErrUsage, takes)
		}
		return m, d, nil
	}
	return "", 0, fmt.Errorf("%w: wake mode %q is none of %s", ErrUsage, mode, Modes())
}
