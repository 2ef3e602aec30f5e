//go:build unix

package securefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

func TestUpdateFile_ConcurrentWriters(t *testing.T) {
	path := t.TempDir() + "/lakebase/profiles.ini"
	var wg sync.WaitGroup
	const writers, each = 8, 25
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := UpdateFile(context.Background(), path, func(old []byte) ([]byte, error) { return fmt.Appendf(old, "%d.%d\n", w, i), nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(path)
	if lines := strings.Count(string(data), "\n"); err != nil || lines != writers*each {
		t.Errorf("got %d lines, %v; want %d", lines, err, writers*each)
	}
}

// An editor takes no lock, and may save the file between our reading and replacing it.
func TestUpdateFile_ChangedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(path string) error
		want string
	}{
		{"in place", func(path string) error { return os.WriteFile(path, []byte("edited\n"), 0o600) }, "edited\nours\n"},
		{"same size", func(path string) error { return os.WriteFile(path, []byte("OLD\n"), 0o600) }, "OLD\nours\n"},
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("edited\n"), 0o600), os.Rename(path+"~", path))
		}, "edited\nours\n"},
		{"removed", os.Remove, "ours\n"},
	} {
		path, edited := put(t, t.TempDir()+"/f", "old\n", 0o600), false
		age(t, path)
		err := UpdateFile(t.Context(), path, func(old []byte) ([]byte, error) {
			if !edited {
				edited = true
				must(t, c.edit(path))
			}
			return append(old, "ours\n"...), nil
		})
		if data, _ := os.ReadFile(path); err != nil || string(data) != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.name, data, err, c.want)
		}
	}
	path := put(t, t.TempDir()+"/f", "", 0o600)
	err := UpdateFile(t.Context(), path, func(old []byte) ([]byte, error) { return append(old, 'x'), os.WriteFile(path, append(old, 'y'), 0o600) })
	wantError(t, err, "another program keeps changing it", "")
}

func TestUpdateFile_Unchanged(t *testing.T) {
	path := put(t, t.TempDir()+"/f", "old", 0o644)
	before, err := os.Stat(path)
	must(t, err)
	failed := errors.New("x")
	for _, c := range []struct {
		text []byte
		err  error
	}{{nil, nil}, {[]byte("old"), nil}, {[]byte("new"), failed}} {
		if err := UpdateFile(t.Context(), path, func([]byte) ([]byte, error) { return c.text, c.err }); err != c.err {
			t.Errorf("got %v, want %v", err, c.err)
		}
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("the file was written: %v", err)
		}
	}
	must(t, os.Chmod(path, 0o666))
	wantError(t, UpdateFile(t.Context(), path, nil), "is writable by others", "chmod go-w "+path)
}

// A stopped process that holds the lock delays an update, but does not prevent it.
func TestUpdateFile_LockHeld(t *testing.T) {
	path := t.TempDir() + "/f"
	unlock, ok, err := filelock.TryLock(lockPath(path))
	if must(t, err); !ok {
		t.Fatal("not locked")
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, UpdateFile(ctx, path, func([]byte) ([]byte, error) { return []byte("x"), nil }))
	checkFile(t, path, "x", 0o600)
}

func TestCheckWritable(t *testing.T) {
	d := t.TempDir()
	must(t, CheckWritable(d+"/new/f", 100))
	if got := names(t, d+"/new"); len(got) != 0 {
		t.Errorf("got files %v, want none", got)
	}
	path := put(t, d+"/f", "old", 0o600)
	must(t, CheckWritable(path, 100))
	checkFile(t, path, "old", 0o600)
	wantError(t, CheckWritable(d, 1), "is a directory", "")
	wantError(t, CheckWritable(filepath.Join(path, "f"), 1), "not a directory", "")
	dir := openTemp(t)
	must(t, dir.CheckWritable(100))
	if got := names(t, dir.Path()); len(got) != 0 {
		t.Errorf("got files %v, want none", got)
	}
}

// Faults of the machine have a hint that names the path.
func TestError_Faults(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EACCES, unix.ENOENT} {
		if e := systemError("/a b", errno); IsEnvironmentFault(e) || !strings.Contains(e.Hint(), "'/a b'") {
			t.Errorf("%v: got hint %q, fault %t", errno, e.Hint(), IsEnvironmentFault(e))
		}
	}
	for errno, hint := range map[unix.Errno]string{
		unix.ENOSPC: "free space on the file system of '/a b'", unix.EDQUOT: "free space on the file system of '/a b'",
		unix.EROFS: "make the file system of '/a b' writable", unix.EIO: "check the disk of '/a b'",
		unix.EMFILE: "raise the limit of open files (ulimit -n)", unix.ENFILE: "raise the limit of open files (ulimit -n)",
		unix.ENOMEM: "free memory, or raise the limit of this process",
	} {
		e := systemError("/a b", &os.LinkError{Op: "rename", Old: "x", New: "y", Err: errno})
		if got := e.Hint(); got != hint || !IsEnvironmentFault(e) {
			t.Errorf("%v: got hint %q, fault %t; want %q", errno, got, IsEnvironmentFault(e), hint)
		}
	}
}
