package keychain

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

const value = "dose0123456789abcdef"

var (
	get    = step{Op: "get", Account: account}
	peek   = step{Op: "peek", Account: account}
	set    = step{Op: "set", Account: account, Value: value}
	put    = step{Op: "put", Account: account, Value: value}
	remove = step{Op: "delete", Account: account}
)

func startDesktop(t *testing.T, o testkeyring.Options) *testkeyring.Desktop {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "home")
	}
	d, err := testkeyring.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// want plays steps on a desktop and compares their kinds.
func want(t *testing.T, d *testkeyring.Desktop, kind string, steps ...step) []outcome {
	t.Helper()
	outcomes := play(t, d.Env(), script{Steps: steps})
	if got := kinds(outcomes); got != kind {
		t.Errorf("got %s; want %s", got, kind)
	}
	return outcomes
}

func TestGnomeKeyring(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Unlocked})
	o := want(t, d, "not found, not found, not found, ok, ok, ok, ok, ok, ok, not found, not found",
		get, peek, remove, set, get, peek, step{Op: "put", Account: account, Value: "another"}, get, remove, get, remove)
	if o[4].Value != value || o[5].Value != value || o[7].Value != "another" {
		t.Errorf("read %q, %q and %q", o[4].Value, o[5].Value, o[7].Value)
	}
	if n := d.Calls()["BeginPrompting"]; n != 0 {
		t.Errorf("%d dialogs", n)
	}
	big := strings.Repeat("é", MaxItem/2)
	o = want(t, d, "ok, ok", step{Op: "set", Account: account, Value: big}, peek)
	if o[1].Value != big {
		t.Errorf("read %d bytes", len(o[1].Value))
	}
}

func TestPeekMakesNoNeedlessCall(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Slow})
	want(t, d, "ok", set)
	before := d.Calls()
	want(t, d, "ok", peek)
	got := d.Calls()
	for name, n := range before {
		got[name] -= n
	}
	delete(got, "Close") // sent without waiting, and may arrive late
	expect := map[string]int{"Collections": 1, "SearchItems": 1, "OpenSession": 1, "GetSecret": 1, "CreateItem": 0}
	if diff := cmp.Diff(expect, got); diff != "" {
		t.Error(diff)
	}
}

func TestLockedGnomeKeyring(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	d := startDesktop(t, testkeyring.Options{Dir: home, Mode: testkeyring.Unlocked})
	want(t, d, "ok, ok", set, peek)
	if err := d.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lockedCases(t, d)
	if err := d.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, d, "ok", peek)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	lockedCases(t, startDesktop(t, testkeyring.Options{Dir: home, Mode: testkeyring.Locked}))
}

func lockedCases(t *testing.T, d *testkeyring.Desktop) {
	t.Helper()
	before := d.Calls()["BeginPrompting"]
	want(t, d, "locked, locked, locked, locked", peek, put,
		step{Op: "peek", Account: "unknown"}, step{Op: "put", Account: "unknown", Value: value})
	if n := d.Calls()["BeginPrompting"]; n != before {
		t.Errorf("the quiet calls asked for %d dialogs", n-before)
	}
	want(t, d, "dismissed, dismissed, dismissed", get, set, remove)
	if n := d.Calls()["BeginPrompting"]; n != before+3 {
		t.Errorf("three calls asked for %d dialogs", n-before)
	}
}

func TestFreshUser(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.NoCollection})
	o := want(t, d, "not found, not found, not found, absent, absent", get, peek, remove, set, put)
	for _, o := range o[3:] {
		if !strings.Contains(o.Text, "no login keyring to write to") {
			t.Error(o.Text)
		}
	}
	if n := d.Calls()["BeginPrompting"]; n != 0 {
		t.Errorf("%d dialogs", n)
	}
}

func TestNoProvider(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.NoProvider})
	for _, o := range want(t, d, "absent, absent, absent, absent, absent", get, peek, set, put, remove) {
		if !strings.Contains(o.Text, "org.freedesktop.DBus.Error.ServiceUnknown") {
			t.Error(o.Text)
		}
	}
}

func TestSilent(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Silent})
	for _, st := range []step{get, peek, set, put, remove} {
		s := script{Timeout: 20 * time.Millisecond, Steps: []step{st}} // and Quiet stays a minute
		if st.Op == "peek" || st.Op == "put" {
			s.Timeout, s.Quiet = 0, s.Timeout
		}
		if o := play(t, d.Env(), s); o[0].Kind != "timeout" {
			t.Errorf("%s: %s, want timeout", st.Op, o[0].Kind)
		}
	}
}

func TestHungPrompt(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.HungPrompt})
	// The first Get is given up when its prompt is there, which never ends. The second
	// waits for its turn behind it; quiet calls need no turn.
	first, second := get, get
	first.UntilEOF, second.Limit = true, 100*time.Millisecond
	s := script{Steps: []step{first, second, peek, put}}
	o := playUntil(t, d.Env(), s, func() bool { return d.Calls()["Prompt"] > 0 })
	if got := kinds(o); got != "cancelled, timeout, locked, locked" {
		t.Error(got)
	}
	if n := d.Calls()["Prompt"]; n != 1 {
		t.Errorf("%d prompts, want 1", n)
	}
}

func TestPromptAnswers(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Dismissed})
	want(t, d, "locked, dismissed, dismissed, dismissed", peek, get, set, remove)

	d = startDesktop(t, testkeyring.Options{Mode: testkeyring.Accepted})
	o := want(t, d, "locked, locked, ok, ok", peek, put, set, peek)
	if o[3].Value != value {
		t.Errorf("read %q", o[3].Value)
	}
	if n := d.Calls()["Prompt"]; n != 1 {
		t.Errorf("%d prompts, want 1", n)
	}
}

func TestManyAtOnceShareOnePrompt(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Accepted})
	want(t, d, "ok", set)
	for _, st := range []step{get, set} {
		if err := d.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := d.Calls()["Prompt"]
		o := play(t, d.Env(), script{AtOnce: true, Steps: slices.Repeat([]step{st}, 8)})
		if got := kinds(o); got != "ok, ok, ok, ok, ok, ok, ok, ok" {
			t.Errorf("%s: %s", st.Op, got)
		}
		if n := d.Calls()["Prompt"] - before; n != 1 {
			t.Errorf("%s: %d prompts, want 1", st.Op, n)
		}
	}
}

func TestServiceThatAsksFirst(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Asking})
	o := want(t, d, "ok, locked, failed, dismissed, ok", set, step{Op: "put", Account: account, Value: "another"},
		step{Op: "set", Account: account, Value: "another"}, remove, peek)
	if !strings.Contains(o[1].Text, "wants to ask first") || !strings.Contains(o[2].Text, "reads back differently") {
		t.Errorf("%q; %q", o[1].Text, o[2].Text)
	}
	if o[4].Value != value {
		t.Errorf("read %q", o[4].Value)
	}
	// Put's prompt was dismissed unseen; Set's and Delete's were shown.
	for end := time.Now().Add(30 * time.Second); d.Calls()["Dismiss"] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if c := d.Calls(); c["Prompt"] != 2 || c["Dismiss"] != 1 {
		t.Errorf("%d prompts and %d dismissed, want 2 and 1", c["Prompt"], c["Dismiss"])
	}
}

func TestSlow(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Slow, Delay: 50 * time.Millisecond})
	o := want(t, d, "ok, ok, ok", set, peek, get)
	if o[1].Value != value || o[2].Value != value {
		t.Errorf("read %q and %q", o[1].Value, o[2].Value)
	}
}

func TestWrongAnswers(t *testing.T) {
	d := startDesktop(t, testkeyring.Options{Mode: testkeyring.Garbage})
	for _, o := range want(t, d, "failed, failed, failed, failed, failed", get, peek, set, put, remove) {
		if !strings.Contains(o.Text, "an answer of the wrong form: interface conversion") {
			t.Error(o.Text)
		}
	}
	d = startDesktop(t, testkeyring.Options{Mode: testkeyring.GarbagePrompt})
	// A second one shows that the turn was given back.
	want(t, d, "locked, failed, failed", peek, get, get)

	d = startDesktop(t, testkeyring.Options{Mode: testkeyring.Forgetful})
	o := want(t, d, "failed, failed", set, put)
	if !strings.Contains(o[0].Text, "reads back differently") {
		t.Error(o[0].Text)
	}
}
