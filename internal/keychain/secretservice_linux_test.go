package keychain

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// useBus makes this process use a session bus. godbus finds it by the environment, and
// connects again when the connection of the test before is closed.
func useBus(t *testing.T, address string) *Keychain {
	t.Helper()
	t.Setenv(busVariable, address)
	t.Cleanup(func() { // calls that were not answered end with the connection
		if bus, err := dbus.SessionBus(); err == nil {
			_ = bus.Close()
		}
	})
	return Open(time.Minute, address)
}

func startKeyring(t *testing.T, o testkeyring.Options) (*testkeyring.Desktop, *Keychain) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "home")
	}
	d, err := testkeyring.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, useBus(t, d.Address())
}

// wantDialogs checks how many dialogs were requested from gnome-keyring or the fake.
func wantDialogs(t *testing.T, d *testkeyring.Desktop, want int) {
	t.Helper()
	if c := d.Calls(); c["BeginPrompting"]+c["Prompt"] != want {
		t.Errorf("got calls %v, want %d dialogs", c, want)
	}
}

// do makes one call for the account of the tests: get, set, replace or delete. One that
// is "quiet" shows no dialog.
func do(t *testing.T, k *Keychain, call string) error {
	t.Helper()
	op, quiet := strings.CutPrefix(call, "quiet ")
	if quiet {
		k = k.NonInteractive()
	}
	switch op {
	case "get":
		got, err := k.Get(t.Context(), account)
		if err == nil && !got.Equal(canary) {
			t.Errorf("got %q, want %q", got.Reveal(), canary.Reveal())
		}
		return err
	case "set":
		return k.Set(t.Context(), account, canary)
	case "replace":
		return k.Set(t.Context(), account, credential.NewSecret("another"))
	}
	return k.Delete(t.Context(), account)
}

// expect makes calls and checks their errors, which contain text.
func expect(t *testing.T, k *Keychain, want error, text string, calls ...string) {
	t.Helper()
	for _, call := range calls {
		err := do(t, k, call)
		if !errors.Is(err, want) || want == ErrLocked && text == "" && strings.Contains(err.Error(), dismissed) || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %v with %q", call, err, want, text)
		}
	}
}

var all = []string{"get", "quiet get", "set", "quiet set", "delete"}

func TestSecretService_Unlocked(t *testing.T) {
	d, k := startKeyring(t, testkeyring.Options{Mode: testkeyring.Unlocked})
	expect(t, k, ErrNotFound, "", "get", "quiet get", "delete")
	expect(t, k, nil, "", "replace", "set", "get", "quiet set", "quiet get", "delete")
	expect(t, k, ErrNotFound, "", "get")
	large := credential.NewSecret(strings.Repeat("é", 32<<10))
	must(t, k.Set(t.Context(), account, large))
	if got, err := k.Get(t.Context(), account); err != nil || !got.Equal(large) {
		t.Errorf("got %d bytes, %v", len(got.Reveal()), err)
	}
	wantDialogs(t, d, 0)
}

// The search finds the items of this program alone, also those of another release.
func TestSecretService_Accounts(t *testing.T) {
	for _, mode := range []testkeyring.Mode{testkeyring.Unlocked, testkeyring.Slow} { // gnome-keyring, the fake
		t.Run(string(mode), func(t *testing.T) {
			d, k := startKeyring(t, testkeyring.Options{Mode: mode})
			wantAccounts := func(want ...string) {
				t.Helper()
				got, err := k.Accounts(t.Context())
				if slices.Sort(got); err != nil || !slices.Equal(got, want) {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
			wantAccounts()
			must(t, k.Set(t.Context(), account, canary), k.Set(t.Context(), "token:x y", canary))
			wantAccounts(account, "token:x y")
			must(t, k.Delete(t.Context(), account))
			wantAccounts("token:x y")
			must(t, d.Lock(t.Context()))
			if _, err := k.Accounts(t.Context()); !errors.Is(err, ErrLocked) {
				t.Errorf("got %v, want %v", err, ErrLocked)
			}
			wantDialogs(t, d, 0)
		})
	}
}

func TestSecretService_Locked(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	check := func(d *testkeyring.Desktop, k *Keychain) {
		t.Helper()
		expect(t, k, ErrLocked, "", "quiet get", "quiet set")
		if _, err := k.NonInteractive().Get(t.Context(), "unknown"); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v, want %v", err, ErrLocked)
		}
		wantDialogs(t, d, 0)
		expect(t, k, ErrLocked, dismissed, "get", "set", "delete")
		wantDialogs(t, d, 3)
	}
	d, k := startKeyring(t, testkeyring.Options{Dir: home, Mode: testkeyring.Unlocked})
	expect(t, k, nil, "", "set", "quiet get")
	must(t, d.Lock(t.Context()))
	check(d, k)
	must(t, d.Unlock(t.Context()))
	expect(t, k, nil, "", "quiet get")
	must(t, d.Close())
	check(startKeyring(t, testkeyring.Options{Dir: home, Mode: testkeyring.Locked}))
}

// Each mode of the service has an expected result for each call.
func TestSecretService_Modes(t *testing.T) {
	for _, c := range []struct {
		mode    testkeyring.Mode
		timeout time.Duration
		calls   []string
		want    error
		text    string
		dialogs int
	}{
		{testkeyring.NoProvider, time.Minute, all, ErrAbsent, "org.freedesktop.DBus.Error.ServiceUnknown", 0},
		{testkeyring.NoCollection, time.Minute, []string{"set", "quiet set"}, ErrAbsent, "no login keyring to write to", 0},
		{testkeyring.NoCollection, time.Minute, []string{"get", "quiet get", "delete"}, ErrNotFound, "no login keyring yet", 0},
		{testkeyring.Dismissed, time.Minute, []string{"quiet get", "quiet set"}, ErrLocked, "", 0},
		{testkeyring.Dismissed, time.Minute, []string{"get", "set", "delete"}, ErrLocked, dismissed, 3},
		{testkeyring.Accepted, time.Minute, []string{"set", "quiet get"}, nil, "", 1},
		{testkeyring.Silent, 20 * time.Millisecond, all, ErrTimeout, "timeout 20ms", 0},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			d, k := startKeyring(t, testkeyring.Options{Mode: c.mode})
			expect(t, k.WithTimeout(c.timeout), c.want, c.text, c.calls...)
			wantDialogs(t, d, c.dialogs)
		})
	}
}

// The first call ends while its dialog, which never ends, is shown. The second one waits
// for it; non-interactive calls do not.
func TestSecretService_PromptBlocks(t *testing.T) {
	d, k := startKeyring(t, testkeyring.Options{Mode: testkeyring.HungPrompt})
	expect(t, k.WithTimeout(time.Second), ErrTimeout, "", "get")
	expect(t, k.WithTimeout(100*time.Millisecond), ErrTimeout, "", "get")
	expect(t, k, ErrLocked, "", "quiet get", "quiet set")
	wantDialogs(t, d, 1)
}

func TestSecretService_ConcurrentCallsShareOnePrompt(t *testing.T) {
	d, k := startKeyring(t, testkeyring.Options{Mode: testkeyring.Accepted})
	for i, op := range []string{"set", "get"} {
		must(t, d.Lock(t.Context()))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { expect(t, k, nil, "", op) })
		}
		group.Wait()
		wantDialogs(t, d, i+1)
	}
}

// A service that requires a confirmation gets none from a non-interactive Set.
func TestSecretService_Confirmation(t *testing.T) {
	d, k := startKeyring(t, testkeyring.Options{Mode: testkeyring.Asking})
	expect(t, k, nil, "", "set")
	expect(t, k, ErrLocked, "requires a confirmation", "quiet replace")
	for end := time.Now().Add(30 * time.Second); d.Calls()["Dismiss"] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if wantDialogs(t, d, 0); d.Calls()["Dismiss"] != 1 {
		t.Errorf("got calls %v, want 1 dismissed dialog", d.Calls())
	}
	expect(t, k, ErrFailed, "reads back differently", "replace")
	expect(t, k, ErrLocked, dismissed, "delete")
	expect(t, k, nil, "", "quiet get")
	wantDialogs(t, d, 2)
}

// Without an address, no call may execute dbus-launch, as godbus would.
func TestSecretService_NoBus(t *testing.T) {
	dir := t.TempDir()
	refused, silent, marker := filepath.Join(dir, "refused"), filepath.Join(dir, "silent"), filepath.Join(dir, "ran")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: refused, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close(), os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte("#!/bin/sh\n: > "+marker+"\n"), 0o700))
	t.Setenv("PATH", dir)
	for address, text := range map[string]string{
		"":            busVariable + " is not set",
		"autolaunch:": busVariable + " is not set",
		"unix:path=" + filepath.Join(dir, "none"): "no such file or directory",
		"unix:path=" + refused:                    "connection refused",
		"nonsense":                                "invalid bus address",
		"autolaunch:scope=*":                      "unsupported transport",
	} {
		t.Setenv(busVariable, address)
		expect(t, Open(time.Minute, BusAddress(address, "/none")), ErrAbsent, text, all...)
		if _, err := os.Stat(marker); err == nil || os.Getenv(busVariable) != address {
			t.Errorf("got %s=%q, want %q, and no dbus-launch (%v)", busVariable, os.Getenv(busVariable), address, err)
		}
	}
	l, err = net.ListenUnix("unix", &net.UnixAddr{Name: silent, Net: "unix"}) // a bus that never replies
	must(t, err)
	defer l.Close()
	t.Setenv(busVariable, "unix:path="+silent)
	expect(t, Open(20*time.Millisecond, "unix:path="+silent), ErrTimeout, "", "get", "quiet get")
}
