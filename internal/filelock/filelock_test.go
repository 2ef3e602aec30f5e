package filelock

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

func TestLock_Waits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, _, _ := TryLock(path)
	got := make(chan func())
	go func() {
		unlock, ok, err := Lock(context.Background(), path)
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

func TestLock_ContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, _, _ := TryLock(path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := Lock(ctx, path); ok || err != nil {
		t.Errorf("got %v, %v; want no lock", ok, err)
	}
	unlock()
	// The lock that arrives late, at some time in this loop, is released again.
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 100 {
		unlock, ok, err := Lock(ctx, path)
		if !ok || err != nil {
			t.Fatalf("got %v, %v; want the lock", ok, err)
		}
		unlock()
		time.Sleep(time.Millisecond)
	}
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
