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

// action carries out a command and returns what it prints.
type action func(ctx context.Context, l *emulator.Lakebase, args []string) (string, error)

// command is an action with the words that it takes, the optional ones in brackets.
type command struct {
	words, help string
	do          action
}

// commands are those of Do, by name.
var commands = map[string]command{
	"suspend":      {"", "stop Postgres, drop its clients", does(suspend)},
	"resume":       {"", "start it without a login", does(resume)},
	"wake":         {"MODE DURATION", "what clients see during the next wakes, and how long these take: a duration, or never", wake},
	"port":         {"MODE", "how the database's port answers: " + strings.Trim(fmt.Sprint(emulator.PortModes()), "[]"), port},
	"set":          {"NAME=VALUE [NAME=VALUE]...", "settings: " + names(), set},
	"fault":        {"CALL [WORD]...", "spoil answers: times=N status=N retry-after=V drop html ...", fault},
	"login-fault":  {"STAGE [WORD]...", "spoil logins: times=N code=SQLSTATE message=TEXT reset close quiet ...", loginFault},
	"clear-faults": {"", "end all faults", prints(func(l *emulator.Lakebase) string { l.Set(noFaults); return "" })},
	"status":       {"", "NAME=VALUE lines: state, up_at (Unix nanoseconds), counters", prints(status)},
	"secrets":      {"", "the service principal's: ID, made at, expires at (Unix seconds)", prints(secrets)},
	"add-secret":   {"", "another secret, whose value is not shown; prints its ID", addSecret},
	"logins":       {"", "one line each", prints(logins)},
	"reset":        {"", "forget requests, logins and counts", prints(func(l *emulator.Lakebase) string { l.ResetCounters(); return "" })},
	"env":          {"TYPE [WORD]...", "the variables for one authentication type; words as for workload-token", env},
	"pat":          {"", "the user's personal access token", prints(func(l *emulator.Lakebase) string { return l.PAT() + "\n" })},

	"native-role":     {"NAME", "a Postgres role with a password, or another password for it; prints that", nativeRole},
	"refresh-token":   {"[USER]", "a user's, as a browser would have fetched it", refreshToken},
	"workload-token":  {"[WORD]...", "subject=S audience=A issuer=I life=DURATION foreign", workloadToken},
	"workspace-token": {"[WORD]...", "a bearer token of the API: subject=S life=DURATION", workspaceToken},

	"add-user":      {"NAME", "another user, who signs in after set user=NAME", does(addUser)},
	"add-principal": {"", "another service principal, without a secret or a role; prints its client ID", prints(func(l *emulator.Lakebase) string { return l.AddPrincipal() + "\n" })},

	"put":       {"NAME [WORD]...", "a project, branch or endpoint: archived disabled read-only", put},
	"remove":    {"NAME", "one, with all below it", does(remove)},
	"resources": {"", "name, UID and words of each", prints(resources)},
}

// Do carries out one command and returns what it prints. ErrUsage marks words
// that make no command; nothing is changed by those.
func Do(ctx context.Context, l *emulator.Lakebase, words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("%w: ctl COMMAND [WORD...]\n%s", ErrUsage, Help())
	}
	name, args := words[0], words[1:]
	c, ok := commands[name]
	if !ok {
		return "", fmt.Errorf("%w: no such command: %q", ErrUsage, name)
	}
	optional := strings.Count(c.words, "[")
	if need := len(strings.Fields(c.words)) - optional; len(args) < need || len(args) > need && optional == 0 {
		return "", fmt.Errorf("%w: ctl %s %s: %s", ErrUsage, name, c.words, c.help)
	}
	return c.do(ctx, l, args)
}

// Help returns one line for each command.
func Help() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		c := commands[name]
		fmt.Fprintf(&b, "  %-32s %s\n", strings.TrimSpace(name+" "+c.words), c.help)
	}
	return b.String()
}

// prints is an action that cannot fail.
func prints(do func(l *emulator.Lakebase) string) action {
	return func(_ context.Context, l *emulator.Lakebase, _ []string) (string, error) { return do(l), nil }
}

// does is an action that prints nothing; name is its word, if it has one.
func does(do func(ctx context.Context, l *emulator.Lakebase, name string) error) action {
	return func(ctx context.Context, l *emulator.Lakebase, args []string) (string, error) {
		return "", do(ctx, l, strings.Join(args, ""))
	}
}

func suspend(ctx context.Context, l *emulator.Lakebase, _ string) error { return l.Suspend(ctx) }
func resume(ctx context.Context, l *emulator.Lakebase, _ string) error  { return l.Resume(ctx) }
func addUser(ctx context.Context, l *emulator.Lakebase, name string) error {
	return l.AddUser(ctx, name)
}
func remove(_ context.Context, l *emulator.Lakebase, name string) error { return l.Remove(name) }

func noFaults(s *emulator.Settings) { s.Faults, s.LoginFaults = nil, nil }

func wake(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	mode, takes, err := ParseWake(args[0], args[1])
	if err == nil {
		l.SetWake(mode, takes)
	}
	return "", err
}

func nativeRole(ctx context.Context, l *emulator.Lakebase, args []string) (string, error) {
	password, err := l.NativeRole(ctx, args[0])
	return password + "\n", err
}

func port(_ context.Context, l *emulator.Lakebase, args []string) (string, error) {
	mode := emulator.PortMode(args[0])
	if !slices.Contains(emulator.PortModes(), mode) {
		return "", fmt.Errorf("%w: port mode %q is none of %v", ErrUsage, mode, emulator.PortModes())
	}
	return "", l.SetPort(mode)
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
	fmt.Fprintf(&b, "requests=%d\nconnections=%d\nhandshakes=%d\nlogins=%d\nlogins_ok=%d\nscram=%d\nscram_plus=%d\ncancels=%d\n", n.Requests,
		n.Connections, n.Handshakes, n.Logins, n.LoginsOK, n.Scram, n.ScramPlus, n.Cancels)
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
