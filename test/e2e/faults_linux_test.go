package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// faultCase is one fault of the workspace or the database, and what a program has
// to make of it. In Body and headers, ${NAME} is replaced by a value: see faultRun.value.
type faultCase struct {
	name string

	run      string   // command line; empty: lakebase-exec
	child    []string // lakebase-exec's command; nil: true
	env      []string // NAME=VALUE; an empty value unsets it
	instance bool     // the target is an instance, not an endpoint

	with      emulator.Settings // from the start
	suspended bool              // the compute is
	during    func(r *faultRun) // called once the program has started
	want      wanted
}

// wanted is how a run ends. Calls that are not named in it are not made.
type wanted struct {
	exit        int
	error, hint string // patterns; both are empty with exit code 0
	requests    map[emulator.Call]int
	logins      int
	least       time.Duration // of the whole run
}

// Numbers of calls and logins that are not exact.
const (
	optional = -1 // none or one
	retried  = -2 // two to sixty
)

// succeeds wants exit code 0 and these numbers of requests and logins.
func succeeds(token, credentials, logins int) wanted {
	return wanted{requests: map[emulator.Call]int{emulator.CallToken: token, emulator.CallCredentials: credentials}, logins: logins}
}

// fails wants an exit code other than 0, one error line and one hint, and that the
// command is not started.
func fails(exit int, message, hint string, token, credentials, logins int) wanted {
	w := succeeds(token, credentials, logins)
	w.exit, w.error, w.hint = exit, message, hint
	return w
}

func (w wanted) call(call emulator.Call, n int) wanted {
	w.requests[call] = n
	return w
}

func (w wanted) atLeast(d time.Duration) wanted { w.least = d; return w }

func (c faultCase) commandLine() string {
	return fmt.Sprintf("%t %q %q %q", c.instance, c.env, c.run, c.child)
}
func (c faultCase) program() string { return strings.Fields(c.run + " lakebase-exec")[0] }

// TestFaults runs every case of faultCases. For each run it holds:
//
//   - the exit code, one error line and one hint as wanted, and no other output;
//   - the numbers of requests and logins; the command started at most once, and
//     only if the run succeeds;
//   - no secret or token in any output or file, and no control character.
//
// The same command line without the fault has to succeed. No case bounds its time
// from above: the counts show whether a fault was met with a retry, and a program
// that hangs is killed after minutes.
func TestFaults(t *testing.T) {
	t.Parallel()
	queue := make(chan faultCase)
	var withoutFault sync.Map // by command line
	var workers sync.WaitGroup
	for range min(8, 4*runtime.GOMAXPROCS(0)) { // most of a case's time is waiting
		workers.Go(func() {
			l := startLakebase(t, emulator.Options{Instances: []string{faultInstance}})
			for c := range queue {
				t.Run(c.name, func(t *testing.T) {
					runFault(t, l, c)
					if _, done := withoutFault.LoadOrStore(c.commandLine(), true); c.want.exit == 0 || done || t.Failed() {
						return
					}
					if runFault(t, l, c.withoutFault()); t.Failed() {
						t.Error("the same command line fails without the fault")
					}
				})
			}
		})
	}
	for _, c := range slices.Concat(workspaceFaults, databaseFaults) {
		queue <- c
	}
	close(queue)
	workers.Wait()
}

// faultInstance is the instance beside the emulator's one endpoint.
const faultInstance = "shop"

// withoutFault is the same command line against healthy servers.
func (c faultCase) withoutFault() faultCase {
	h := faultCase{name: c.name, instance: c.instance, env: c.env, child: c.child, want: succeeds(optional, optional, optional)}
	h.run = regexp.MustCompile(`(--timeout|--wait-timeout) \S+`).ReplaceAllString(c.run, "$1 60s") // a slow machine
	for _, call := range []emulator.Call{emulator.CallEndpoint, emulator.CallInstanceCredentials, emulator.CallInstance} {
		h.want.call(call, optional)
	}
	return h
}

// faultRun is one run of a case.
type faultRun struct {
	*fixture
	c       faultCase
	t       *testing.T
	secrets []string // beside the Lakebase's own
	took    time.Duration
	code    int
	stdout  string
	stderr  string
}

func runFault(t *testing.T, l *emulator.Lakebase, c faultCase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if l.State() != emulator.Up || l.Clients() > 0 { // what the case before left
		must(t, l.Suspend(ctx))
	}
	r := &faultRun{fixture: newFixture(t, l), c: c, t: t}
	l.Set(func(s *emulator.Settings) { *s = emulator.Settings{} })
	must(t, l.Resume(ctx))
	if c.suspended {
		must(t, l.Suspend(ctx))
	}
	l.ResetCounters()
	with := r.switches()
	l.Set(func(s *emulator.Settings) { *s = with })
	r.environment()
	r.execute(ctx)
	r.check()
}

// switches are those of the case with its values in place.
func (r *faultRun) switches() emulator.Settings {
	s := r.c.with
	s.WorkspacePassword = r.c.instance
	s.Faults = slices.Clone(s.Faults)
	for i, f := range s.Faults {
		s.Faults[i].Body = r.expand(f.Body)
		s.Faults[i].Header = http.Header{}
		for name, values := range f.Header {
			s.Faults[i].Header.Set(name, r.expand(values[0]))
		}
	}
	return s
}

func (r *faultRun) expand(text string) string { return os.Expand(text, r.value) }

// value replaces ${NAME}: a token, or a time from now.
func (r *faultRun) value(name string) string {
	if d, err := time.ParseDuration(strings.TrimPrefix(name, "date ")); err == nil {
		at := time.Now().Add(d).UTC()
		if strings.HasPrefix(name, "date ") {
			return at.Format(http.TimeFormat)
		}
		return at.Format(time.RFC3339)
	}
	spec, ok := map[string]emulator.TokenSpec{"foreign token": {Foreign: true}, "expired token": {Life: -time.Hour}}[name]
	if !ok {
		r.t.Fatalf("${%s} has no value", name)
	}
	text := r.lakebase.MintToken(spec)
	r.secrets = append(r.secrets, text, base64.StdEncoding.EncodeToString([]byte(text)))
	return text
}

// environment adds the case's to the fixture's.
func (r *faultRun) environment() {
	r.set("LAKEBASE_CACHE=off", "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(r.home, "no-bus"))
	if !r.c.instance {
		delete(r.env, "LAKEBASE_INSTANCE")
		r.set("ENDPOINT_NAME=" + r.lakebase.Endpoint)
	}
	for _, e := range r.c.env {
		r.set(e)
		if name, value, _ := strings.Cut(e, "="); value == "" {
			delete(r.env, name)
		}
	}
}

// startsFile gets a line each time lakebase-exec's command starts.
func (r *faultRun) startsFile() string { return filepath.Join(r.home, "starts") }

func (r *faultRun) execute(ctx context.Context) {
	argv := strings.Fields(r.c.run)
	if len(argv) == 0 {
		argv = []string{"lakebase-exec"}
	}
	if r.c.program() == "lakebase-exec" {
		argv = append(argv, "--", "sh", "-c", `echo started >>"$0"; exec "$@"`, r.startsFile())
		if argv = append(argv, r.c.child...); r.c.child == nil {
			argv = append(argv, "true")
		}
	}
	cmd := r.command(argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	must(r.t, cmd.Start())
	if r.c.during != nil {
		r.c.during(r)
	}
	err := cmd.Wait()
	r.took, r.code, r.stdout, r.stderr = time.Since(begin), cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%v: %v", argv, err)
	}
	// All is counted once the Lakebase has seen that the program is gone. Connections
	// that it does not read end with a suspend.
	for i := 0; r.lakebase.Clients() > 0; i++ {
		if i == 100 || r.lakebase.State() == emulator.Waking {
			must(r.t, r.lakebase.Suspend(ctx))
		}
		if ctx.Err() != nil {
			r.t.Fatalf("%d connections to the database are left open", r.lakebase.Clients())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *faultRun) check() {
	r.t.Helper()
	if r.code != r.c.want.exit || r.took < r.c.want.least {
		r.t.Errorf("got exit code %d after %s, want %d after at least %s", r.code, r.took, r.c.want.exit, r.c.want.least)
	}
	r.checkStderr()
	r.checkStdout()
	r.checkCounts()
	r.checkLeaks()
	if r.t.Failed() {
		r.t.Logf("%q: took %s\nstdout: %.60q (%d bytes)\nstderr: %s", r.c.run, r.took, r.stdout, len(r.stdout), r.stderr)
	}
}

// checkStderr wants one error line and one hint, or neither, and nothing else but
// progress, and notes with --verbose.
func (r *faultRun) checkStderr() {
	r.t.Helper()
	lines := map[string][]string{}
	for line := range strings.Lines(withoutProgress(r.stderr, r.took)) {
		level, message := r.parse(strings.TrimSuffix(line, "\n"))
		lines[level] = append(lines[level], message)
	}
	hint := strings.TrimPrefix(r.c.want.hint, "^")
	if all := lines["error"]; r.c.program() != "lakebase-exec" && len(all) == 1 && hint != "" { // callers of get show one line
		if at := regexp.MustCompile(`; ` + hint).FindStringIndex(all[0]); at != nil {
			lines["error"], lines["hint"] = []string{all[0][:at[0]]}, []string{all[0][at[0]+2:]}
		}
	}
	for level, pattern := range map[string]string{"error": r.c.want.error, "hint": r.c.want.hint} {
		got := lines[level]
		delete(lines, level)
		if r.c.want.exit == 0 && len(got) != 0 || r.c.want.exit != 0 && (len(got) != 1 || !regexp.MustCompile(pattern).MatchString(got[0])) {
			r.t.Errorf("got %s %q, want one that matches %q", level, got, pattern)
		}
	}
	if strings.Contains(r.c.run, "--verbose") {
		delete(lines, "note")
	}
	if len(lines) != 0 {
		r.t.Errorf("got more on stderr: %q", lines)
	}
}

// parse splits a line of stderr into level and message. It must have no character that a
// terminal would obey or could not show. A message from a server has at most 500 bytes,
// each shown as four at most.
func (r *faultRun) parse(line string) (level, message string) {
	r.t.Helper()
	level, message, _ = strings.Cut(strings.TrimPrefix(line, r.c.program()+": "), ": ")
	if strings.Contains(r.c.run, "--log-format json") {
		var doc struct{ Program, Level, Message string }
		if json.Unmarshal([]byte(line), &doc) != nil || doc.Program != r.c.program() {
			return "other", line
		}
		level, message = doc.Level, doc.Message
	} else if !strings.HasPrefix(line, r.c.program()+": ") || !slices.Contains([]string{"error", "hint", "note", "warning"}, level) {
		return "other", line
	}
	for _, text := range []string{line, message} {
		unsafe := func(c rune) bool { return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) }
		if !utf8.ValidString(text) || len(text) > 2600 || strings.ContainsFunc(text, unsafe) {
			r.t.Errorf("stderr is not plain: %.3000q", text)
		}
	}
	return level, message
}

// checkStdout wants a JSON document from get that succeeds, and else nothing.
func (r *faultRun) checkStdout() {
	r.t.Helper()
	switch {
	case r.code != 0 && r.stdout != "":
		r.t.Errorf("got stdout %.60q, want none", r.stdout)
	case r.code == 0 && r.c.program() != "lakebase-exec" && !json.Valid([]byte(r.stdout)):
		r.t.Errorf("got stdout that is not JSON (%d bytes)", len(r.stdout))
	}
}

// checkCounts holds the requests, logins and starts against what is wanted. A run
// may have one more login for each second: another is tried beside one that is held
// for a second, and a busy machine holds them too.
func (r *faultRun) checkCounts() {
	r.t.Helper()
	holds := func(what any, got, want, slack int) {
		r.t.Helper()
		least, most := want, want
		switch want {
		case optional:
			least, most = 0, 1
		case retried:
			least, most = 2, 60
		}
		if got < least || got > most+slack {
			r.t.Errorf("got %d of %s, want %d", got, what, want)
		}
	}
	n := r.lakebase.Counters()
	for _, call := range emulator.Calls() {
		holds(call, n.ByCall[call], r.c.want.requests[call], 0)
	}
	slack := int(r.took / time.Second)
	if r.c.want.logins == 0 {
		slack = 0
	}
	holds("the logins", n.Logins, r.c.want.logins, slack)
	data, err := os.ReadFile(r.startsFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Error(err)
	}
	started := 0
	if r.c.program() == "lakebase-exec" && r.c.want.exit == 0 {
		started = 1
	}
	holds("the command's starts", strings.Count(string(data), "started\n"), started, 0)
}

// checkLeaks searches all output, except the token that get is asked for, and all files.
func (r *faultRun) checkLeaks() {
	r.t.Helper()
	leaks := func(name, text string) bool {
		printed := name == "stdout" && r.code == 0
		found := secretIn(r.lakebase, text)
		if !printed {
			found = leakIn(r.lakebase, text)
		}
		for _, s := range r.secrets { // a part of one, too
			for i := 0; i+24 <= len(s) && !printed; i += 8 {
				if strings.Contains(text, s[i:i+24]) {
					found = "a part of the case's token"
				}
			}
		}
		if strings.Contains(text, "DATA RACE") { // a command that follows hides its exit code
			found = "a data race"
		}
		if found != "" {
			r.t.Errorf("%s has %s in it", name, found)
		}
		return false
	}
	leaks("stderr", r.stderr)
	leaks("stdout", r.stdout)
	filesWhere(r.t, r.home, leaks)
	filesWhere(r.t, r.run, leaks)
}
