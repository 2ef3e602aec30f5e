package cache

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// hold keeps a lock until the test ends, as a stopped process would.
func hold(t *testing.T, dir, name string) {
	t.Helper()
	l := flock.New(filepath.Join(dir, name))
	if got, err := l.TryLock(); !got || err != nil {
		t.Fatalf("the test cannot take the lock: %v, %v", got, err)
	}
	t.Cleanup(func() { _ = l.Unlock() })
}

func TestLockFileIsNeverALink(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // a link needs a privilege there
	}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "l.lock")); err != nil {
		t.Fatal(err)
	}
	c := &Cache{LockDir: dir, Now: time.Now}
	if got, err := c.lock("l.lock").TryLock(); got || err == nil {
		t.Errorf("a link is taken for a lock: %v, %v", got, err)
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("the link was followed")
	}
	l := c.lock("plain.lock")
	if got, err := l.TryLock(); !got || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	defer func() { _ = l.Unlock() }()
	if info, err := os.Stat(l.Path()); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}
