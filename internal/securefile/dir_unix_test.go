//go:build unix

package securefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func openTemp(t *testing.T) *Dir {
	t.Helper()
	d, err := OpenDir([]string{t.TempDir() + "/run"})
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestOpenDir(t *testing.T) {
	d := t.TempDir()
	mk := func(name string, mode fs.FileMode) string {
		t.Helper()
		path := filepath.Join(d, name)
		must(t, os.MkdirAll(path, 0o700), os.Chmod(path, mode))
		return path
	}
	mk("ours", 0o700)
	mk("wide", 0o777)
	mk("sticky", 0o777|fs.ModeSticky)
	put(t, d+"/file", "", 0o600)
	must(t, os.Symlink("ours", d+"/link"))
	missing := "/run/lakebase-" + filepath.Base(filepath.Dir(d)) // another name in each run
	for path, c := range map[string]struct{ reason, fix string }{
		d + "/ours":          {},
		d + "/deep/er/new":   {},
		d + "/sticky/new":    {},
		d + "/ours/../ours/": {},
		mk("group", 0o710):   {"mode 0710", "chmod 700 " + d + "/group"},
		mk("others", 0o701):  {"mode 0701", "chmod 700 " + d + "/others"},
		d + "/link/":         {"is a symbolic link, not a directory", ""},
		d + "/file":          {"is a file, not a directory", ""},
		d + "/file/x":        {"not a directory", ""},
		d + "/wide/new":      {"is writable by others (mode 0777)", "chmod go-w " + d + "/wide"},
		d + "/wide/a/b":      {"is writable by others (mode 0777)", "chmod go-w " + d + "/wide"},
		"/tmp/":              {"is a shared directory", ""},
		"/dev/shm":           {"is a shared directory", ""},
		"":                   {"is not a path", ""},
		missing + "/x":       {"does not exist", ""},
	} {
		dir, err := OpenDir([]string{path})
		if c.reason != "" {
			wantError(t, err, c.reason, c.fix)
			continue
		}
		must(t, err)
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o700 || dir.Path() != filepath.Clean(path) {
			t.Errorf("%s: got %v, %v, path %s", path, fi, err, dir.Path())
		}
		must(t, dir.Close())
	}
	for _, name := range []string{"wide/new", "wide/a"} {
		if _, err := os.Lstat(filepath.Join(d, name)); err == nil {
			t.Errorf("%s was created though it was rejected", name)
		}
	}
	if _, err := OpenDir([]string{"/proc/self/no/such/dir"}); err == nil {
		t.Error("a directory in /proc was created")
	}
	if path := mk("given", 0o700); giveAway(t, path) {
		_, err := OpenDir([]string{path})
		wantError(t, err, "belongs to uid 12345, not to uid 0", "chown 0 "+path)
		_, err = OpenDir([]string{path + "/a/b"})
		wantError(t, err, "belongs to uid 12345, not to uid 0", "")
		if _, err := os.Lstat(path + "/a"); err == nil {
			t.Error("a directory was created in another user's")
		}
	}
}

func TestOpenDir_FirstUsable(t *testing.T) {
	d := t.TempDir()
	put(t, d+"/file", "", 0o600)
	dir, err := OpenDir([]string{"/tmp", d + "/file", d + "/good", d + "/never"})
	if err != nil || dir.Path() != d+"/good" {
		t.Fatalf("got %v, %v", dir, err)
	}
	must(t, dir.Close())
	if got := names(t, d); !cmp.Equal(got, []string{"file", "good"}) {
		t.Errorf("got %q, want no other candidate", got)
	}
	want := `"/tmp": is a shared directory; "` + d + `/file": is a file, not a directory`
	if _, err = OpenDir([]string{"/tmp", d + "/file"}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err = OpenDir(nil); err == nil {
		t.Error("got no error without candidates")
	}
}

func TestDir_Files(t *testing.T) {
	parent := t.TempDir()
	defer syscall.Umask(syscall.Umask(0))
	d, err := OpenDir([]string{parent + "/run"})
	must(t, err)
	defer d.Close()
	if _, err := d.ReadFile("f", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for text, write := range map[string]func(string, []byte) error{"first": d.WriteFile, "second": d.WriteFileSync} {
		must(t, write("f", []byte(text)))
		if data, err := d.ReadFile("f", 10); err != nil || string(data) != text {
			t.Errorf("got %q, %v", data, err)
		}
		checkFile(t, d.Path()+"/f", text, 0o600)
	}
	if fi, err := os.Stat(d.Path()); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", fi, err)
	}
	_, err = d.ReadFile("f", 4)
	wantError(t, err, "larger than 4 bytes", "")
	put(t, d.Path()+"/.a", "", 0o600)
	if names, err := d.Names(); err != nil || !cmp.Equal(names, []string{".a", "f"}) {
		t.Errorf("got %q, %v", names, err)
	}
	must(t, d.Remove("f"), d.Remove("f"), d.WriteFile("g", []byte("mine")))
	if got := names(t, d.Path()); !cmp.Equal(got, []string{".a", "g"}) {
		t.Errorf("got %q", got)
	}
	// A directory that takes our directory's place is not used.
	must(t, os.Rename(d.Path(), d.Path()+".moved"), os.Mkdir(d.Path(), 0o700))
	put(t, d.Path()+"/g", "theirs", 0o600)
	if data, err := d.ReadFile("g", 10); err != nil || string(data) != "mine" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestDir_ReadFileRejects(t *testing.T) {
	d := openTemp(t)
	in := func(name string) string { return d.Path() + "/" + name }
	put(t, in("wide"), "keep", 0o644)
	put(t, in("good"), "keep", 0o600)
	outside := put(t, t.TempDir()+"/outside", "keep", 0o600)
	must(t, os.Symlink("good", in("inner")), os.Symlink(outside, in("outer")), os.Symlink("nowhere", in("dangling")),
		os.Mkdir(in("dir"), 0o700), unix.Mkfifo(in("fifo"), 0o600))
	for name, c := range map[string]struct{ reason, fix string }{
		"wide":     {"accessible by others (mode 0644)", "chmod 600 " + in("wide")},
		"inner":    {"is a symbolic link", ""},
		"outer":    {"is a symbolic link", ""},
		"dangling": {"is a symbolic link", ""},
		"dir":      {"is a directory", ""},
		"fifo":     {"is a pipe", ""},
	} {
		doesNotBlock(t, func() {
			_, err := d.ReadFile(name, 10)
			wantError(t, err, c.reason, c.fix)
		})
	}
	for _, name := range []string{"../x", "/etc/passwd"} {
		if _, err := d.ReadFile(name, 1<<20); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	must(t, d.WriteFile("outer", []byte("new"))) // replaces the link
	for _, path := range []string{in("wide"), outside, in("good")} {
		if data, err := os.ReadFile(path); err != nil || string(data) != "keep" {
			t.Errorf("%s was changed: %q, %v", path, data, err)
		}
	}
}
