package keychain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// go-keyring has one bus connection per process, found by the environment. So each test
// runs this test binary as a child, which executes a script and prints the results.

const scriptVariable = "KEYCHAIN_TEST_SCRIPT"

// script is what a child does: its steps in order or at once, each within Timeout
// (default 1 min).
type script struct {
	Timeout time.Duration
	Steps   []step
	AtOnce  bool
}

// step is one operation: get, set, delete, or connect, which lets godbus find a bus.
type step struct {
	Op, Account, Value string
	Quiet              bool          // non-interactive
	UntilEOF           bool          // cancel at the end of the child's input
	Limit              time.Duration // cancel after this time, if set
}

// stepResult is the result of a step.
type stepResult struct {
	Value, Kind, Text string
	BusVariable       string // afterwards
}

func TestMain(m *testing.M) {
	text := os.Getenv(scriptVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var s script
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	k := Open(Options{Timeout: cmp.Or(s.Timeout, time.Minute), Environ: os.Getenv})
	results := make([]stepResult, len(s.Steps))
	var group sync.WaitGroup
	for i, st := range s.Steps {
		group.Go(func() { results[i] = st.run(k) })
		if !s.AtOnce {
			group.Wait()
		}
	}
	group.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func (st step) run(k *Keychain) (r stepResult) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if st.Limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, st.Limit)
		defer cancel()
	}
	if st.UntilEOF {
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	}
	if st.Quiet {
		k = k.NonInteractive()
	}
	var got credential.Secret
	var err error
	switch st.Op {
	case "get":
		got, err = k.Get(ctx, st.Account)
	case "set":
		err = k.Set(ctx, st.Account, credential.NewSecret(st.Value))
	case "delete":
		err = k.Delete(ctx, st.Account)
	case "list":
		var accounts []string
		accounts, err = k.Accounts(ctx)
		slices.Sort(accounts)
		got = credential.NewSecret(strings.Join(accounts, " "))
	case "connect":
		_, err = dbus.SessionBus()
	}
	r = stepResult{Value: got.Reveal(), Kind: kindName(err), BusVariable: os.Getenv(busVariable)}
	if err != nil {
		r.Text = err.Error()
	}
	return r
}

func kindName(err error) string {
	for _, k := range []struct {
		err  error
		name string
	}{
		{nil, "ok"}, {ErrNotFound, "not found"}, {ErrDismissed, "dismissed"}, {ErrLocked, "locked"}, {ErrAbsent, "absent"},
		{ErrTimeout, "timeout"}, {context.Canceled, "cancelled"}, {ErrTooBig, "too big"}, {ErrFailed, "failed"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

// runChild runs a script in a child with exactly this environment. The child's input
// ends when until, if not nil, returns true.
func runChild(t *testing.T, env []string, s script, until func() bool) []stepResult {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	// The race detector would make each child sleep for a second at its end.
	cmd.Env = append([]string{scriptVariable + "=" + string(text), "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if until != nil {
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for !until() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = input.Close()
		}()
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the child failed: %v\n%s", err, stderr.String())
	}
	var results []stepResult
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(s.Steps) {
		t.Fatalf("the child printed %q: %v", out, err)
	}
	for i, r := range results {
		if v := s.Steps[i].Value; v != "" && strings.Contains(r.Text, v) {
			t.Errorf("the error contains the secret: %s", r.Text)
		}
	}
	return results
}

// expect runs steps with env and compares the kinds of their results.
func expect(t *testing.T, env []string, s script, want string) []stepResult {
	t.Helper()
	results := runChild(t, env, s, nil)
	checkKinds(t, results, want)
	return results
}

func checkKinds(t *testing.T, results []stepResult, want string) {
	t.Helper()
	var kinds, texts []string
	for _, r := range results {
		kinds, texts = append(kinds, r.Kind), append(texts, r.Text)
	}
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("got %s; want %s\n%s", got, want, strings.Join(texts, "\n"))
	}
}

// expectText checks that all errors contain text.
func expectText(t *testing.T, results []stepResult, text string) {
	t.Helper()
	for _, r := range results {
		if r.Kind != "ok" && !strings.Contains(r.Text, text) {
			t.Errorf("got %q, want %q in it", r.Text, text)
		}
	}
}

const value = "canary0123456789abcdef"

var (
	get      = step{Op: "get", Account: account}
	quietGet = step{Op: "get", Account: account, Quiet: true}
	set      = step{Op: "set", Account: account, Value: value}
	quietSet = step{Op: "set", Account: account, Value: value, Quiet: true}
	remove   = step{Op: "delete", Account: account}
	all      = script{Steps: []step{get, quietGet, set, quietSet, remove}}
)

func steps(s ...step) script { return script{Steps: s} }

func startKeyring(t *testing.T, o testkeyring.Options) *testkeyring.Desktop {
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

func TestSecretService_Unlocked(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Unlocked})
	other := quietSet
	other.Value = "another"
	r := expect(t, d.Env(), steps(get, quietGet, remove, set, get, quietGet, other, get, remove, get, remove),
		"not found, not found, not found, ok, ok, ok, ok, ok, ok, not found, not found")
	if r[4].Value != value || r[5].Value != value || r[7].Value != "another" {
		t.Errorf("got %q, %q and %q", r[4].Value, r[5].Value, r[7].Value)
	}
	large := set
	large.Value = strings.Repeat("é", maxItem/2)
	if r := expect(t, d.Env(), steps(large, quietGet), "ok, ok"); r[1].Value != large.Value {
		t.Errorf("got %d bytes, want %d", len(r[1].Value), maxItem)
	}
	if n := d.Calls()["BeginPrompting"]; n != 0 {
		t.Errorf("got %d dialogs, want none", n)
	}
}

// The search finds the items of this program alone, also those of another release.
func TestSecretService_Accounts(t *testing.T) {
	for _, mode := range []testkeyring.Mode{testkeyring.Unlocked, testkeyring.Slow} { // gnome-keyring, the fake
		d := startKeyring(t, testkeyring.Options{Mode: mode})
		list := step{Op: "list", Quiet: true}
		other := set
		other.Account = "token:x y"
		r := expect(t, d.Env(), steps(list, set, other, list, remove, list), "ok, ok, ok, ok, ok, ok")
		if r[0].Value != "" || r[3].Value != account+" token:x y" || r[5].Value != "token:x y" {
			t.Errorf("got %q, %q and %q", r[0].Value, r[3].Value, r[5].Value)
		}
		if err := d.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := d.Calls()
		expect(t, d.Env(), steps(list), "locked")
		if c := d.Calls(); c["Prompt"]+c["BeginPrompting"] != before["Prompt"]+before["BeginPrompting"] {
			t.Error("a search showed a dialog")
		}
	}
}

func TestSecretService_Calls(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Slow, Delay: 50 * time.Millisecond})
	expect(t, d.Env(), steps(set, get), "ok, ok")
	before := d.Calls()
	if r := expect(t, d.Env(), steps(quietGet), "ok"); r[0].Value != value {
		t.Errorf("got %q, want %q", r[0].Value, value)
	}
	got := d.Calls()
	for name, n := range before {
		got[name] -= n
	}
	delete(got, "Close") // sent without waiting
	want := map[string]int{"Collections": 1, "SearchItems": 1, "OpenSession": 1, "GetSecret": 1, "CreateItem": 0}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSecretService_Locked(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	d := startKeyring(t, testkeyring.Options{Dir: home, Mode: testkeyring.Unlocked})
	check := func(d *testkeyring.Desktop) {
		t.Helper()
		before := d.Calls()["BeginPrompting"]
		expect(t, d.Env(), steps(quietGet, quietSet, step{Op: "get", Account: "unknown", Quiet: true}), "locked, locked, locked")
		if n := d.Calls()["BeginPrompting"]; n != before {
			t.Errorf("non-interactive calls requested %d dialogs", n-before)
		}
		expect(t, d.Env(), steps(get, set, remove), "dismissed, dismissed, dismissed")
		if n := d.Calls()["BeginPrompting"]; n != before+3 {
			t.Errorf("got %d dialogs, want 3", n-before)
		}
	}
	expect(t, d.Env(), steps(set, quietGet), "ok, ok")
	if err := d.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(d)
	if err := d.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, d.Env(), steps(quietGet), "ok")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	check(startKeyring(t, testkeyring.Options{Dir: home, Mode: testkeyring.Locked}))
}

// Each mode of the fake service has an expected result for each call.
func TestSecretService_Modes(t *testing.T) {
	for _, c := range []struct {
		mode       testkeyring.Mode
		script     script
		want, text string
		prompts    int
	}{
		{testkeyring.NoProvider, all, "absent, absent, absent, absent, absent", "org.freedesktop.DBus.Error.ServiceUnknown", 0},
		{testkeyring.NoCollection, steps(set, quietSet), "absent, absent", "no login keyring to write to", 0},
		{testkeyring.NoCollection, steps(get, quietGet, remove), "not found, not found, not found", "no login keyring yet", 0},
		{testkeyring.Dismissed, steps(quietGet, get, set, remove), "locked, dismissed, dismissed, dismissed", "", 3},
		{testkeyring.Accepted, steps(quietGet, quietSet, set, quietGet), "locked, locked, ok, ok", "", 1},
		{testkeyring.Garbage, all, "failed, failed, failed, failed, failed", "unexpected reply: interface conversion", 0},
		{testkeyring.GarbagePrompt, steps(quietGet, get, get), "locked, failed, failed", "", 2}, // the second get shows that promptSlot is released
		{testkeyring.Forgetful, steps(set, quietSet), "failed, failed", "reads back differently", 0},
		{testkeyring.Silent, script{Timeout: 20 * time.Millisecond, Steps: all.Steps}, "timeout, timeout, timeout, timeout, timeout", "", 0},
	} {
		d := startKeyring(t, testkeyring.Options{Mode: c.mode})
		t.Logf("mode %v", c.mode)
		expectText(t, expect(t, d.Env(), c.script, c.want), c.text)
		if calls := d.Calls(); calls["Prompt"]+calls["BeginPrompting"] != c.prompts {
			t.Errorf("mode %v: got %d dialogs, want %d", c.mode, calls["Prompt"]+calls["BeginPrompting"], c.prompts)
		}
	}
}

// The first Get is cancelled while its prompt, which never ends, is shown. The second
// one waits for it; non-interactive calls do not.
func TestSecretService_PromptBlocks(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.HungPrompt})
	first, second := get, get
	first.UntilEOF, second.Limit = true, 100*time.Millisecond
	checkKinds(t, runChild(t, d.Env(), steps(first, second, quietGet, quietSet), func() bool { return d.Calls()["Prompt"] > 0 }),
		"cancelled, timeout, locked, locked")
	if n := d.Calls()["Prompt"]; n != 1 {
		t.Errorf("got %d prompts, want 1", n)
	}
}

func TestSecretService_ConcurrentCallsShareOnePrompt(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Accepted})
	expect(t, d.Env(), steps(set), "ok")
	for _, st := range []step{get, set} {
		if err := d.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := d.Calls()["Prompt"]
		expect(t, d.Env(), script{AtOnce: true, Steps: slices.Repeat([]step{st}, 8)}, "ok, ok, ok, ok, ok, ok, ok, ok")
		if n := d.Calls()["Prompt"] - before; n != 1 {
			t.Errorf("%s: got %d prompts, want 1", st.Op, n)
		}
	}
}

// A service that requires a confirmation gets none from a non-interactive Set.
func TestSecretService_Confirmation(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Asking})
	quietOther, other := quietSet, set
	quietOther.Value, other.Value = "another", "another"
	r := expect(t, d.Env(), steps(set, quietOther, other, remove, quietGet), "ok, locked, failed, dismissed, ok")
	expectText(t, r[1:2], "requires a confirmation")
	expectText(t, r[2:3], "reads back differently")
	if r[4].Value != value {
		t.Errorf("got %q, want %q", r[4].Value, value)
	}
	for end := time.Now().Add(30 * time.Second); d.Calls()["Dismiss"] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if c := d.Calls(); c["Prompt"] != 2 || c["Dismiss"] != 1 {
		t.Errorf("got %d prompts and %d dismissed ones, want 2 and 1", c["Prompt"], c["Dismiss"])
	}
}

func TestSecretService_NoBus(t *testing.T) {
	dir := t.TempDir()
	refused, blocked := filepath.Join(dir, "refused"), filepath.Join(dir, "blocked")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: refused, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for address, text := range map[string]string{
		"unix:path=" + filepath.Join(dir, "none"): "no such file or directory",
		"unix:path=" + refused:                    "connection refused",
		"nonsense":                                "invalid bus address",
		"autolaunch:scope=*":                      "unsupported transport",
	} {
		expectText(t, expect(t, []string{busVariable + "=" + address}, all, "absent, absent, absent, absent, absent"), text)
	}
	silent, err := net.Listen("unix", blocked) // a bus that never replies
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	expect(t, []string{busVariable + "=unix:path=" + blocked}, script{Timeout: 20 * time.Millisecond, Steps: []step{get, quietGet}}, "timeout, timeout")
}

// Without an address, no call may execute dbus-launch, as godbus would.
func TestSecretService_NoDbusLaunch(t *testing.T) {
	bin, marker := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	launch := "#!/bin/sh\n: > " + marker + "\necho DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere\n"
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte(launch), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		r := expect(t, []string{"PATH=" + bin, busVariable + "=" + address}, all, "absent, absent, absent, absent, absent")
		expectText(t, r, busVariable+" is not set")
		if got := r[4].BusVariable; got != address {
			t.Errorf("got %s=%q, want %q", busVariable, got, address)
		}
		if _, err := os.Stat(marker); err == nil {
			t.Fatal("dbus-launch was executed")
		}
	}
	// Without this package, godbus executes it or sets the variable.
	r := runChild(t, []string{"PATH=" + bin}, steps(step{Op: "connect"}), nil)
	if _, err := os.Stat(marker); err != nil && r[0].BusVariable == "" {
		t.Errorf("godbus neither executed dbus-launch nor set the variable: %s", r[0].Text)
	}
}
