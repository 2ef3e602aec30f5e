// Package control is the language that steers a running local Lakebase: one
// command, as words, at a time. Both `local-lakebase ctl` and the tests' scripts
// speak it. It must never do what the emulator's own methods cannot.
package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// ErrUsage marks a command that cannot be understood.
var ErrUsage = errors.New("usage")

// command carries out one command and returns what it prints.
type command func(ctx context.Context, l *emulator.Lakebase, args []string) (string, error)

// commands are those that Do knows.
var commands = map[string]command{
	"suspend":         func(ctx context.Context, l *emulator.Lakebase, _ []string) (string, error) { return "", l.Suspend(ctx) },
	"resume":          func(ctx context.Context, l *emulator.Lakebase, _ []string) (string, error) { return "", l.Resume(ctx) },
	"wake":            wake,
	"set":             func(_ context.Context, l *emulator.Lakebase, args []string) (string, error) { return "", set(l, args) },
	"fault":           fault,
	"login-fault":     loginFault,
	"clear-faults":    prints(func(l *emulator.Lakebase) string { l.Set(noFaults); return "" }),
	"status":          prints(status),
	"secrets":         prints(secrets),
	"add-secret":      addSecret,
	"logins":          prints(logins),
	"reset":           prints(func(l *emulator.Lakebase) string { l.ResetCounters(); return "" }),
	"env":             env,
	"pat":             prints(func(l *emulator.Lakebase) string { return l.PAT() + "\n" }),
	"refresh-token":   refreshToken,
	"workload-token":  workloadToken,
	"workspace-token": workspaceToken,
	"add-user":        one("add-user NAME", func(ctx context.Context, l *emulator.Lakebase, name string) error { return l.AddUser(ctx, name) }),
	"put":             put,
	"remove":          one("remove NAME", func(_ context.Context, l *emulator.Lakebase, name string) error { return l.Remove(name) }),
	"resources":       prints(resources),
}

// Do carries out one command and returns what it prints. ErrUsage marks words
// that make no command; nothing is changed by those.
func Do(ctx context.Context, l *emulator.Lakebase, words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("%w: ctl %s", ErrUsage, strings.Join(slices.Sorted(maps.Keys(commands)), "|"))
	}
	c := commands[words[0]]
	if c == nil {
		return "", fmt.Errorf("%w: no such command: %q", ErrUsage, words[0])
	}
	return c(ctx, l, words[1:])
}

// one is a command with exactly one word.
func one(usage string, do func(ctx context.Context, l *emulator.Lakebase, word string) error) command {
	return func(ctx context.Context, l *emulator.Lakebase, args []string) (string, error) {
		if len(args) != 1 {
			return "", fmt.Errorf("%w: ctl %s", ErrUsage, usage)
		}
		return "", do(ctx, l, args[0])
	}
}

// prints is a command without words that cannot fail.
func prints(do func(l *emulator.Lakebase) string) command {
	return func(_ context.Context, l *emulator.Lakebase, _ []string) (string, error) { return do(l), nil }
}

func noFaults(s *emulator.Settings) { s.Faults, s.LoginFaults = nil, nil }

func wake(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	if len(args) != 2 {
		return "", fmt.Errorf("%w: ctl wake MODE DURATION", ErrUsage)
	}
	mode, takes, err := ParseWake(args[0], args[1])
	if err == nil {
		l.SetWake(mode, takes)
	}
	return "", err
}

func secrets(l *emulator.Lakebase) string {
	var b strings.Builder
	for _, s := range l.Secrets() {
		fmt.Fprintf(&b, "%s %d %d\n", s.ID, s.Created.Unix(), s.Expire.Unix())
	}
	return b.String()
}

func addSecret(_ context.Context, l *emulator.Lakebase, _ []string) (string, error) {
	s, err := l.AddSecret()
	return s.ID + "\n", err
}

// logins returns one line for each login; times are Unix nanoseconds.
func logins(l *emulator.Lakebase) string {
	var b strings.Builder
	for _, n := range l.Logins() {
		fmt.Fprintf(&b, "%d %d %q %q %q %q %q\n", n.Time.UnixNano(), n.Decided.UnixNano(), n.User, n.Database, n.Application, n.SQLState, n.Result)
	}
	return b.String()
}

// status is plain name=value lines; a time that has not come is 0.
func status(l *emulator.Lakebase) string {
	n, s := l.Counters(), l.Settings()
	takes := s.WakeTime.String()
	if s.WakeTime == emulator.Never {
		takes = "never"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "state=%s\nup_at=%d\nwoken_at=%d\nwake=%s\nwake_time=%s\n", l.State(), nanos(l.UpAt()), nanos(l.WokenAt()), s.Wake, takes)
	fmt.Fprintf(&b, "requests=%d\nconnections=%d\nhandshakes=%d\nlogins=%d\nlogins_ok=%d\ncancels=%d\n",
		n.Requests, n.Connections, n.Handshakes, n.Logins, n.LoginsOK, n.Cancels)
	for _, call := range emulator.Calls() {
		if call != emulator.AnyCall {
			fmt.Fprintf(&b, "requests_%s=%d\n", call, n.ByCall[call])
		}
	}
	for _, g := range emulator.Grants() {
		fmt.Fprintf(&b, "granted_%s=%d\nrefused_%s=%d\n", g, n.Granted[g], g, n.Refused[g])
	}
	fmt.Fprintf(&b, "secrets=%d\nuser=%s\n", len(l.Secrets()), l.User)
	fmt.Fprintf(&b, "faults=%d\npid=%d\ndir=%s\n", len(s.Faults)+len(s.LoginFaults), os.Getpid(), l.Dir())
	return b.String()
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Modes lists the wake modes.
func Modes() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(emulator.WakeModes()), " ", ", "), "[]")
}

// ParseWake reads a mode and a duration, which may be "never".
func ParseWake(mode, takes string) (emulator.WakeMode, time.Duration, error) {
	m := emulator.WakeMode(mode)
	if !slices.Contains(emulator.WakeModes(), m) {
		return "", 0, fmt.Errorf("%w: wake mode %q is none of %s", ErrUsage, mode, Modes())
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
