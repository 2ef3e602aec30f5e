//go:build unix

package securefile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// writeFile replaces a file by UpdateFile.
func writeFile(t *testing.T, path, text string) error {
	return UpdateFile(t.Context(), path, func([]byte) ([]byte, error) { return []byte(text), nil })
}

func TestUpdateFile_Target(t *testing.T) {
	d := t.TempDir()
	path := d + "/a/b/profiles.ini"
	for _, text := range []string{"one", "two", ""} {
		must(t, writeFile(t, path, text))
		checkFile(t, path, text, 0o600)
	}
	if fi, err := os.Stat(d + "/a"); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v", fi, err)
	}
	old := put(t, d+"/old", "old", 0o644)
	must(t, writeFile(t, old, "new"))
	checkFile(t, old, "new", 0o600)
	for link, target := range map[string]string{"l1": "dots/real", "l2": d + "/l1", "loop": "loop", "nowhere": "missing"} {
		must(t, os.Symlink(target, filepath.Join(d, link)))
	}
	put(t, d+"/dots/real", "old", 0o600)
	must(t, writeFile(t, d+"/l2", "by a link"))
	checkFile(t, d+"/dots/real", "by a link", 0o600)
	if fi, err := os.Lstat(d + "/l2"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", fi, err)
	}
	wantError(t, writeFile(t, d+"/loop", ""), "too many links", "")
	wantError(t, writeFile(t, d+"/nowhere", ""), "is a symbolic link, not a regular file", "")
	wantError(t, writeFile(t, d, ""), "is a directory", "")
	wantError(t, writeFile(t, path+"/x", ""), "not a directory", "")
	if left, _ := filepath.Glob(d + "/.*.?????????????*"); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestReplaceFile(t *testing.T) {
	d := t.TempDir()
	path := put(t, d+"/f", "old", 0o644)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	must(t, ReplaceFile(path, []byte("new")))
	checkFile(t, path, "new", 0o600)
	// A reader that has the old file open keeps all of it.
	if data, err := readAll(path, f, 100, nil); err != nil || string(data) != "old" {
		t.Errorf("got %q, %v; want old", data, err)
	}
	must(t, os.Symlink("f", d+"/link"))
	wantError(t, ReplaceFile(d+"/link", nil), "is a symbolic link, not a regular file", "")
	wantError(t, ReplaceFile(d+"/none/f", nil), "no such file", "")
}

// The next write removes the temporary files of a killed writer, and no other files. In a
// directory of our own it removes those of all files.
func TestWrite_RemovesTemporaryFiles(t *testing.T) {
	for own, write := range map[bool]func(d *Dir) error{
		false: func(d *Dir) error { return ReplaceFile(d.Path()+"/f.json", nil) },
		true:  func(d *Dir) error { return d.WriteFile("f.json", nil) },
	} {
		d := openTemp(t)
		left, other, young, dir := ".f.json."+rand.Text(), ".g."+rand.Text(), ".f.json."+rand.Text(), ".f.json."+rand.Text()
		want := []string{".f.json", ".f.json.bak", ".f.json." + rand.Text()[1:], ".f.json." + "a" + rand.Text()[1:], "f." + rand.Text()}
		for _, name := range append([]string{left, other}, want...) {
			age(t, put(t, filepath.Join(d.Path(), name), "x", 0o600))
		}
		put(t, filepath.Join(d.Path(), young), "x", 0o600)
		must(t, os.Mkdir(filepath.Join(d.Path(), dir), 0o700))
		age(t, filepath.Join(d.Path(), dir))
		must(t, write(d))
		if want = append(want, young, dir, "f.json"); !own {
			want = append(want, other)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, names(t, d.Path())); diff != "" {
			t.Errorf("own directory %t: %s", own, diff)
		}
	}
}

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
	for text, want := range map[string]error{"old": nil, "new": failed} {
		if err := UpdateFile(t.Context(), path, func([]byte) ([]byte, error) { return []byte(text), want }); err != want {
			t.Errorf("got %v, want %v", err, want)
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
	unlock, ok, err := TryLock(lockPath(path))
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
	must(t, os.Mkdir(dir.Path()+"/dir", 0o700))
	if err := dir.WriteFile("dir", nil); err == nil {
		t.Error("a directory was replaced")
	}
	if got := names(t, dir.Path()); !slices.Equal(got, []string{"dir"}) {
		t.Errorf("got files %v, want no temporary one", got)
	}
}

// Faults of the machine have a hint that names the path.
func TestError_Faults(t *testing.T) {
	for errno, hint := range map[unix.Errno]string{
		unix.EACCES: "", unix.ENOENT: "", unix.ENOSPC: "free space on the file system of '/a b'", unix.EDQUOT: "free space on the file system of '/a b'",
		unix.EROFS: "make the file system of '/a b' writable", unix.EIO: "check the disk of '/a b'",
		unix.EMFILE: "raise the limit of open files (ulimit -n)", unix.ENOMEM: "free memory, or raise the limit of this process",
	} {
		e := systemError("/a b", &os.LinkError{Op: "rename", Old: "x", New: "y", Err: errno})
		if got := e.Hint(); IsEnvironmentFault(e) != (hint != "") || hint == "" && !strings.Contains(got, "'/a b'") || hint != "" && got != hint {
			t.Errorf("%v: got hint %q, fault %t; want %q", errno, got, IsEnvironmentFault(e), hint)
		}
	}
}
