package securefile

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, ok, err := TryLock(path)
	if !ok || err != nil {
		t.Fatalf("got %v, %v; want the lock", ok, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 || info.Size() != 0 {
		t.Errorf("got %v, %v; want an empty file of mode 0600", info, err)
	}
	if _, ok, err := TryLock(path); ok || err != nil {
		t.Errorf("got %v, %v for a held lock; want false", ok, err)
	}
	unlock()
	if unlock, ok, err = TryLock(path); !ok || err != nil {
		t.Errorf("got %v, %v for a released lock; want it", ok, err)
	}
	unlock()
	if _, ok, err := TryLock(filepath.Join(path, "missing")); ok || err == nil {
		t.Errorf("got %v, %v without a directory; want an error", ok, err)
	}
}

// Lock waits for the holder or the end of its context; a lock that arrives after that is
// released.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, _, _ := TryLock(path)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := Lock(ended, path); ok || err != nil {
		t.Errorf("got %v, %v; want no lock", ok, err)
	}
	got := make(chan func())
	go func() {
		unlock, ok, err := Lock(t.Context(), path)
		if !ok || err != nil {
			t.Errorf("got %v, %v; want the lock", ok, err)
		}
		got <- unlock
	}()
	select {
	case <-got:
		t.Error("a held lock was taken")
	case <-time.After(50 * time.Millisecond):
	}
	unlock()
	(<-got)()
}

func TestTryLock_SymbolicLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // a link requires a privilege
	}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := TryLock(filepath.Join(dir, "lock")); ok || err == nil {
		t.Errorf("got %v, %v for a link; want an error", ok, err)
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("the link was followed")
	}
}
