package tokencache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// getVariable makes the test binary print a key instead of running tests.
const getVariable = "TOKENCACHE_TEST_GET"

func init() {
	id := os.Getenv(getVariable)
	if id == "" {
		return
	}
	s, err := Kernel{}.Get(context.Background(), id)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(s.Reveal())
	os.Exit(0)
}

// testID returns a unique ID, whose key is removed at the end.
func testID(t *testing.T) string {
	t.Helper()
	id := "test-" + t.Name() + time.Now().Format("150405.000000000")
	t.Cleanup(func() {
		if err := (Kernel{}).Delete(context.Background(), id); err != nil {
			t.Error(err)
		}
	})
	return id
}

func set(t *testing.T, id, value string, life time.Duration) {
	t.Helper()
	if err := (Kernel{}).Set(t.Context(), id, credential.NewSecret(value), time.Now().Add(life)); err != nil {
		t.Fatal(err)
	}
}

func TestKernel(t *testing.T) {
	k, id := Kernel{}, testID(t)
	if _, err := k.Get(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want a missing key", err)
	}
	large := strings.Repeat("x", 10_000)
	for _, value := range []string{"first", "second", large} {
		set(t, id, value, time.Hour)
		if got, err := k.Get(t.Context(), id); err != nil || got.Reveal() != value {
			t.Errorf("got %d bytes, %v; want %d", len(got.Reveal()), err, len(value))
		}
	}
	if ids, err := k.List(t.Context()); err != nil || len(ids) != len(slices.Compact(ids)) || !slices.Contains(ids, id) {
		t.Errorf("got %v, %v; want %s once", ids, err, id)
	}
	if err := k.Delete(t.Context(), id, "never"); err != nil {
		t.Error(err)
	}
	if _, err := k.Get(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v after Delete, want a missing key", err)
	}
	if err := k.Set(t.Context(), id, credential.NewSecret(strings.Repeat("x", 1<<15)), time.Now().Add(time.Hour)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("too large: got %v, want %v", err, unix.EINVAL)
	}
}

// The kernel removes expired keys: /proc/keys shows their remaining time.
func TestKernel_Expiry(t *testing.T) {
	k, id := Kernel{}, testID(t)
	set(t, id, "x", 30*time.Minute)
	keys, err := os.ReadFile("/proc/keys")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for l := range strings.Lines(string(keys)) {
		if strings.Contains(l, keyPrefix+id) {
			found = strings.Contains(l, " 29m ") || strings.Contains(l, " 30m ")
		}
	}
	if !found {
		t.Errorf("the key does not expire in 30 minutes:\n%s", keys)
	}
	set(t, id, "y", 1500*time.Millisecond)
	for missing := false; !missing; time.Sleep(50 * time.Millisecond) { // the test's time limit ends it
		_, err := k.Get(t.Context(), id)
		missing = errors.Is(err, fs.ErrNotExist)
	}
	set(t, id, "z", time.Hour) // replaces an expired key
	set(t, id+"-ended", "z", 0)
	if _, err := k.Get(t.Context(), id+"-ended"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("expired token: got %v, want a missing key", err)
	}
}

// Session keyrings made by systemd or a container runtime have no link to the user
// keyring.
func TestKernel_SessionKeyring(t *testing.T) {
	id := testID(t)
	set(t, id, "shared", time.Hour)
	for range 2 {
		done := make(chan error)
		var out []byte
		go func() {
			runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
			if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
				done <- err
				return
			}
			if key, err := search(id); err != nil {
				t.Error(err)
			} else if _, err := read(key); !errors.Is(err, unix.EACCES) {
				t.Errorf("got %v without a link to the user keyring, want %v", err, unix.EACCES)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = []string{getVariable + "=" + id}
			var err error
			out, err = cmd.Output()
			done <- err
		}()
		if err := <-done; err != nil || string(out) != "shared" {
			t.Errorf("got %q, %v; want the key of another session", out, err)
		}
	}
}
