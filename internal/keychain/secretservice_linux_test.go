package keychain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// go-keyring has one bus connection per process, found by the environment. So each test
// runs this test binary as a child, which executes a script and prints the results.

const scriptVariable = "KEYCHAIN_TEST_SCRIPT"

// script is what a child does: its steps in order or at once.
type script struct {
	Steps  []step
	AtOnce bool
}

// step is one operation: get, set, delete or list.
type step struct {
	Op, Account, Value string
	Quiet              bool          // non-interactive
	Timeout            time.Duration // default 1 min
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
	k := Open(time.Minute, os.Getenv)
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
	ctx := context.Background()
	if k = k.WithTimeout(cmp.Or(st.Timeout, time.Minute)); st.Quiet {
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
// of its results, and the texts of its errors, which contain text.
func expect(t *testing.T, env []string, s script, want, text string) []stepResult {
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

// quick returns the step with a timeout that a service that does not answer exceeds.
func quick(s step) step {
	s.Timeout = 100 * time.Millisecond
	return s
}

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
		{testkeyring.Silent, steps(quick(get), quick(quietGet), quick(set), quick(quietSet), quick(remove)), "timeout, timeout, timeout, timeout, timeout", "", 0},
	} {
		d := startKeyring(t, testkeyring.Options{Mode: c.mode})
		expect(t, d.Env(), c.script, c.want, c.text)
		if calls := d.Calls(); calls["Prompt"]+calls["BeginPrompting"] != c.prompts {
			t.Errorf("mode %v: got %d dialogs, want %d", c.mode, calls["Prompt"]+calls["BeginPrompting"], c.prompts)
		}
	}
}

// The first Get ends while its prompt, which never ends, is shown. The second one waits
// for it; non-interactive calls do not.
func TestSecretService_PromptBlocks(t *testing.T) {
	d := startKeyring(t, testkeyring.Options{Mode: testkeyring.HungPrompt})
	first := get
	first.Timeout = time.Second // for the prompt to be shown
	expect(t, d.Env(), steps(first, quick(get), quietGet, quietSet), "timeout, timeout, locked, locked", "")
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
	expect(t, []string{busVariable + "=unix:path=" + blocked}, steps(quick(get), quick(quietGet)), "timeout, timeout", "")
}

// Without an address, no call may execute dbus-launch, as godbus would.
func TestSecretService_NoDbusLaunch(t *testing.T) {
	bin, marker := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte("#!/bin/sh\n: > "+marker+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		r := expect(t, []string{"PATH=" + bin, busVariable + "=" + address}, all, "absent, absent, absent, absent, absent", busVariable+" is not set")
		if _, err := os.Stat(marker); err == nil || r[4].BusVariable != address {
			t.Errorf("got %s=%q, want %q, and no dbus-launch (%v)", busVariable, r[4].BusVariable, address, err)
		}
	}
}
