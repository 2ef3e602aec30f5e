package e2e

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// rotation is a sandbox whose stored secret was created by rotate, beside a first one
// with an unknown ID.
type rotation struct {
	*fixture
	first string // its id
}

// signsIn checks that what is stored signs in, whatever the cache holds, with a profile
// unless that is empty.
func (p *fixture) signsIn(when, profile string) {
	p.t.Helper()
	argv := []string{"lakebase-exec", "--cache", "off", "--wait", "never"}
	if profile != "" {
		argv = append(argv, "--profile", profile)
	}
	if o := p.do(append(argv, "--", "true")...); !o.status.Exited() || o.status.ExitStatus() != 0 {
		p.t.Fatalf("%s the stored secret does not sign in: %s", when, o.stderr)
	}
}

func newRotating(t *testing.T) *rotation {
	t.Helper()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	p.set("LAKEBASE_CACHE=off")
	p.login()
	r := &rotation{fixture: p, first: l.Secrets()[0].ID}
	r.do("lakebase-credential-helper", "rotate").wantExit(0)
	r.signsIn("after the first rotate", "")
	return r
}

// wantRepaired runs one rotate more, which must work and leave the first secret, the stored
// one, and at most so many orphans, which it names. It then deletes the orphans.
func (r *rotation) wantRepaired(at string, most int) *result {
	r.t.Helper()
	left := ids(r.lakebase)
	o := r.do("lakebase-credential-helper", "rotate").wantExit(0)
	r.signsIn(at+", and after the next rotate,", "")
	var orphans []string
	for _, id := range ids(r.lakebase) {
		if id != r.first && slices.Contains(left, id) {
			orphans = append(orphans, id)
		}
	}
	if total := len(ids(r.lakebase)); total != 2+len(orphans) || len(orphans) > most {
		r.t.Fatalf("%s: %d secrets after the next rotate: left %v, now %v\n%s", at, total, left, ids(r.lakebase), o.stderr)
	}
	for _, id := range orphans {
		o.wantStderr("one of these may be a secret that an interrupted rotate requested", id+", created",
			"created while an interrupted rotate waited for its new secret")
		r.do("lakebase-credential-helper", "rotate", "--delete-only", "--delete-id", id).wantExit(0)
	}
	stored := regexp.MustCompile(`^lakebase-credential-helper: stored a new secret: .*\n$`)
	if len(orphans) == 0 && !stored.MatchString(o.stderr) && o.took < progressAfter {
		r.t.Errorf("%s: the next rotate says: %s", at, o.stderr)
	}
	if got := len(ids(r.lakebase)); got != 2 {
		r.t.Fatalf("%s: %d secrets in the end", at, got)
	}
	return o
}

func ids(l *emulator.Lakebase) []string {
	var out []string
	for _, s := range l.Secrets() {
		out = append(out, s.ID)
	}
	return out
}

// One of two concurrent rotates succeeds; the other one reports it.
func TestRotate_Concurrent(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	r.lakebase.Set(func(s *emulator.Settings) { s.Latency = 300 * time.Millisecond })
	r.lakebase.ResetCounters()
	outcomes := make([]*result, 2)
	var all sync.WaitGroup
	for i := range outcomes {
		run := r.start(r.command("lakebase-credential-helper", "rotate"))
		all.Go(func() { outcomes[i] = run.wait() })
	}
	all.Wait()
	codes := []int{outcomes[0].status.ExitStatus(), outcomes[1].status.ExitStatus()}
	slices.Sort(codes)
	if !slices.Equal(codes, []int{0, 125}) {
		t.Errorf("exit codes %v", codes)
	}
	const refusal = "error: another rotate or login of this secret is running; nothing was done"
	if text := outcomes[0].stderr + outcomes[1].stderr; !strings.Contains(text, refusal) {
		t.Errorf("stderr: %s", text)
	}
	if n := r.lakebase.Counters().ByCall[emulator.CallSecretCreate]; n != 1 || len(ids(r.lakebase)) != 2 {
		t.Errorf("%d secrets were made, and there are %d", n, len(ids(r.lakebase)))
	}
	r.signsIn("after both", "")

	// A login waits for the rotate, and wins.
	r.lakebase.ResetCounters()
	run := r.start(r.command("lakebase-credential-helper", "rotate", "--delete-only"))
	eventually(t, "the rotate is at work", func() bool { return r.lakebase.Counters().Requests > 0 })
	login := r.command("lakebase-credential-helper", "login", "--secret-stdin")
	login.Stdin = strings.NewReader(r.lakebase.ClientSecret)
	r.finish(login).wantExit(0)
	run.wait()
	r.signsIn("after a login that waited", "")
}
