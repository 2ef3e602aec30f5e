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

// step is one operation: get, set, delete or list.
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
	k := Open(cmp.Or(s.Timeout, time.Minute), os.Getenv)
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

func (st step) run(k *Keychain) stepResult {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(st.Limit, time.Hour))
	defer cancel()
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
	}
	r := stepResult{Value: got.Reveal(), Kind: kindName(err), BusVariable: os.Getenv(busVariable)}
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
		{ErrTimeout, "timeout"}, {context.Canceled, "cancelled"}, {ErrFailed, "failed"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

// expect runs a script in a child with exactly this environment, and compares the kinds
// of its results, and the texts of its errors, which contain text. The child's input ends
// when until, if given, returns true.
func expect(t *testing.T, env []string, s script, want, text string, until ...func() bool) []stepResult {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	// The race detector would make each child sleep for a second at its end.
	cmd.Env = append([]string{scriptVariable + "=" + string(data), "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	for _, done := range until {
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for !done() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = input.Close()
		}()
	}
	out, err := cmd.Output()
	var results []stepResult
	if err := errors.Join(err, json.Unmarshal(out, &results)); err != nil || len(results) != len(s.Steps) {
		t.Fatalf("the child printed %q: %v\n%s", out, err, stderr.String())
	}
	var kinds []string
	for i, r := range results {
		kinds = append(kinds, r.Kind)
		if v := s.Steps[i].Value; v != "" && strings.Contains(r.Text, v) || r.Kind != "ok" && !strings.Contains(r.Text, text) {
			t.Errorf("got %q, want %q in it, and no secret", r.Text, text)
		}
	}
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("got %s; want %s\n%+v", got, want, results)
	}
	return results
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
	other, large := quietSet, set
	other.Value, large.Value = "another", strings.Repeat("é", maxItem/2)
	r := expect(t, d.Env(), steps(get, quietGet, remove, set, get, other, quietGet, remove, get, large, quietGet, remove),
		"not found, not found, not found, ok, ok, ok, ok, ok, not found, ok, ok, ok", "")
	if r[4].Value != value || r[6].Value != "another" || r[10].Value != large.Value {
		t.Errorf("got %q, %q and %d bytes", r[4].Value, r[6].Value, len(r[10].Value))
	}
	if n := d.Calls()["BeginPrompting"]; n != 0 {
		t.Errorf("got %d dialogs, want none", n)
	}
}

// The search finds the items of this program alone, also those of another release.
func TestSecretService_Accounts(t *testing.T) {
	for _, mode := range []testkeyring.Mode{testkeyring.Unlocked, testkeyring.Slow} { // gnome-keyring, the fake
		d := startKeyring(t, testkeyring.Options{Mode: mode})
		list, other := step{Op: "list", Quiet: true}, set
		other.Account = "token:x y"
		r := expect(t, d.Env(), steps(list, set, other, list, remove, list), "ok, ok, ok, ok, ok, ok", "")
		if r[0].Value != "" || r[3].Value != account+" token:x y" || r[5].Value != "token:x y" {
			t.Errorf("got %q, %q and %q", r[0].Value, r[3].Value, r[5].Value)
		}
		if err := d.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, d.Env(), steps(list), "locked", "")
		if c := d.Calls(); c["Prompt"]+c["BeginPrompting"] != 0 {
			t.Error("a search showed a dialog")
		}
	}
}

// A call of a slow service is not repeated.
func TestSecretService_Calls(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Slow, Delay: 50 * time.Millisecond})
	expect(t, d.Env(), steps(set, get), "ok, ok", "")
	before := d.Calls()
	if r := expect(t, d.Env(), steps(quietGet), "ok", ""); r[0].Value != value {
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
		expect(t, d.Env(), steps(quietGet, quietSet, step{Op: "get", Account: "unknown", Quiet: true}), "locked, locked, locked", "")
		if n := d.Calls()["BeginPrompting"]; n != before {
			t.Errorf("non-interactive calls requested %d dialogs", n-before)
		}
		expect(t, d.Env(), steps(get, set, remove), "dismissed, dismissed, dismissed", "")
		if n := d.Calls()["BeginPrompting"]; n != before+3 {
			t.Errorf("got %d dialogs, want 3", n-before)
		}
	}
	expect(t, d.Env(), steps(set, quietGet), "ok, ok", "")
	if err := d.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(d)
	if err := d.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, d.Env(), steps(quietGet), "ok", "")
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
		{testkeyring.Silent, script{Timeout: 20 * time.Millisecond, Steps: all.Steps}, "timeout, timeout, timeout, timeout, timeout", "", 0},
	} {
		d := startKeyring(t, testkeyring.Options{Mode: c.mode})
		expect(t, d.Env(), c.script, c.want, c.text)
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
	expect(t, d.Env(), steps(first, second, quietGet, quietSet), "cancelled, timeout, locked, locked", "",
		func() bool { return d.Calls()["Prompt"] > 0 })
	if n := d.Calls()["Prompt"]; n != 1 {
		t.Errorf("got %d prompts, want 1", n)
	}
}

func TestSecretService_ConcurrentCallsShareOnePrompt(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.Accepted})
	expect(t, d.Env(), steps(set), "ok", "")
	for _, st := range []step{get, set} {
		if err := d.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := d.Calls()["Prompt"]
		expect(t, d.Env(), script{AtOnce: true, Steps: slices.Repeat([]step{st}, 8)}, "ok, ok, ok, ok, ok, ok, ok, ok", "")
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
	expect(t, d.Env(), steps(set, quietOther), "ok, locked", "requires a confirmation")
	for end := time.Now().Add(30 * time.Second); d.Calls()["Dismiss"] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if c := d.Calls(); c["Prompt"] != 0 || c["Dismiss"] != 1 {
		t.Errorf("got %d prompts and %d dismissed ones, want 0 and 1", c["Prompt"], c["Dismiss"])
	}
	expect(t, d.Env(), steps(other), "failed", "reads back differently")
	if r := expect(t, d.Env(), steps(remove, quietGet), "dismissed, ok", ""); r[1].Value != value || d.Calls()["Prompt"] != 2 {
		t.Errorf("got %q after %d prompts, want %q after 2", r[1].Value, d.Calls()["Prompt"], value)
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
		expect(t, []string{busVariable + "=" + address}, all, "absent, absent, absent, absent, absent", text)
	}
	silent, err := net.Listen("unix", blocked) // a bus that never replies
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	expect(t, []string{busVariable + "=unix:path=" + blocked}, script{Timeout: 20 * time.Millisecond, Steps: []step{get, quietGet}}, "timeout, timeout", "")
}

// Without an address, no call may execute dbus-launch, as godbus would.
func TestSecretService_NoDbusLaunch(t *testing.T) {
	bin, marker := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	launch := "#!/bin/sh\n: > " + marker + "\necho DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere\n"
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte(launch), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		r := expect(t, []string{"PATH=" + bin, busVariable + "=" + address}, all, "absent, absent, absent, absent, absent", busVariable+" is not set")
		if got := r[4].BusVariable; got != address {
			t.Errorf("got %s=%q, want %q", busVariable, got, address)
		}
		if _, err := os.Stat(marker); err == nil {
			t.Fatal("dbus-launch was executed")
		}
	}
}
