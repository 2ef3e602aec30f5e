//go:build unix

package securefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain sets the umask, as a folder that a group can write in is refused.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(m.Run())
}

func TestOpenDir(t *testing.T) {
	d := t.TempDir()
	mk := func(name string, mode fs.FileMode) string {
		t.Helper()
		path := filepath.Join(d, name)
		if err := errors.Join(os.MkdirAll(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mk("ours", 0o700)
	mk("wide", 0o777)
	mk("sticky", 0o777|fs.ModeSticky)
	put(t, d+"/file", "", 0o600)
	if err := os.Symlink("ours", d+"/link"); err != nil {
		t.Fatal(err)
	}
	for path, c := range map[string]struct{ reason, fix string }{
		d + "/ours":              {},
		d + "/new":               {},
		d + "/deep/er/new":       {},
		d + "/sticky/new":        {},
		d + "/ours/../ours/":     {},
		mk("group", 0o710):       {"mode 0710", "chmod 700 " + d + "/group"},
		mk("others", 0o701):      {"mode 0701", "chmod 700 " + d + "/others"},
		d + "/link":              {"it is a symbolic link, not a directory", ""},
		d + "/link/":             {"it is a symbolic link, not a directory", ""},
		d + "/file":              {"not a directory", ""},
		d + "/file/x":            {"not a directory", ""},
		d + "/wide/new":          {"others can write in " + d + "/wide above it (mode 0777)", "chmod go-w " + d + "/wide"},
		d + "/wide/a/b":          {"others can write in " + d + "/wide above it (mode 0777)", "chmod go-w " + d + "/wide"},
		"/tmp":                   {"shared with everybody", ""},
		"/tmp/":                  {"shared with everybody", ""},
		"/dev/shm":               {"shared with everybody", ""},
		"":                       {"it is no path", ""},
		"/proc/self/no/such/dir": {"", ""},
	} {
		dir, err := OpenDir([]string{path})
		if path == "/proc/self/no/such/dir" {
			if err == nil {
				t.Error("a folder in /proc was made")
			}
			continue
		}
		if c.reason != "" {
			wantError(t, err, c.reason, c.fix)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o700 || dir.Path() != filepath.Clean(path) {
			t.Errorf("%s: %v %v %s", path, fi, err, dir.Path())
		}
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"wide/new", "wide/a"} {
		if _, err := os.Lstat(filepath.Join(d, name)); err == nil {
			t.Errorf("%s was made though it was refused", name)
		}
	}
	if path := mk("given", 0o700); give(t, path) {
		_, err := OpenDir([]string{path})
		wantError(t, err, "belongs to uid 12345, and we are 0", "chown 0 "+path)
		_, err = OpenDir([]string{path + "/a/b"})
		wantError(t, err, path+" above it belongs to uid 12345, and we are 0", "")
		if _, err := os.Lstat(path + "/a"); err == nil {
			t.Error("a folder was made in somebody else's")
		}
	}
}

// TestClosed is the rule of OpenDir and Open for owners that a test cannot have.
func TestClosed(t *testing.T) {
	if e := closed("/d", meta{mode: 0o700, owner: 1000}, 1000, "700"); e != nil {
		t.Error(e)
	}
	wantError(t, closed("/d", meta{mode: 0o700, owner: 1001}, 1000, "700"), "belongs to uid 1001", "sudo chown 1000 /d")
	wantError(t, closed("/d", meta{mode: 0o700, owner: 0}, 1000, "700"), "belongs to uid 0", "sudo chown 1000 /d")
	wantError(t, closed("/d", meta{mode: 0o750, owner: 1000}, 1000, "700"), "mode 0750", "chmod 700 /d")
}

func TestOpenDirTakesTheFirstGood(t *testing.T) {
	d := t.TempDir()
	put(t, d+"/file", "", 0o600)
	dir, err := OpenDir([]string{"/tmp", d + "/file", d + "/good", d + "/never"})
	if err != nil || dir.Path() != d+"/good" {
		t.Fatalf("%v %v", dir, err)
	}
	if _, err := os.Lstat(d + "/never"); err == nil {
		t.Error("the next one was made as well")
	}
	_, err = OpenDir([]string{"/tmp", d + "/file", "/run/lakebase-no-such-folder/x"})
	var all *DirError
	if !errors.As(err, &all) || len(all.Refused) != 3 || !strings.Contains(err.Error(), "shared") || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), "there is no /run/lakebase-no-such-folder") {
		t.Errorf("%v", err)
	}
	if _, err = OpenDir(nil); err == nil || err.Error() != "no folder to try" {
		t.Errorf("%v", err)
	}
}

func openTemp(t *testing.T) *Dir {
	t.Helper()
	d, err := OpenDir([]string{t.TempDir() + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// TestDirIsTheOpenedOne: a folder that is put in our folder's place is not used.
func TestDirIsTheOpenedOne(t *testing.T) {
	d := openTemp(t)
	if err := errors.Join(d.WriteFile("f", []byte("mine")), os.Rename(d.Path(), d.Path()+".moved"), os.Mkdir(d.Path(), 0o777)); err != nil {
		t.Fatal(err)
	}
	put(t, d.Path()+"/f", "theirs", 0o600)
	if data, err := d.ReadFile("f", 10); err != nil || string(data) != "mine" {
		t.Errorf("%q %v", data, err)
	}
}

// TestDirRace: many write, create and remove one file; each reader sees one
// whole text or no file.
func TestDirRace(t *testing.T) {
	d := openTemp(t)
	var all sync.WaitGroup
	for i := range 4 {
		text := strings.Repeat(fmt.Sprint(i), 1000)
		all.Go(func() {
			for range 50 {
				if err := d.WriteFile("f", []byte(text)); err != nil {
					t.Error(err)
				}
				data, err := d.ReadFile("f", 1000)
				if err == nil && (len(data) != 1000 || strings.Trim(string(data), string(data[:1])) != "") {
					t.Errorf("torn: %q", data)
				}
				if err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "faster than") {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestUmaskDoesNotOpen(t *testing.T) {
	parent := t.TempDir()
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	d, err := OpenDir([]string{parent + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := errors.Join(d.WriteFile("f", nil), WriteFile(d.Path()+"/g", nil)); err != nil {
		t.Fatal(err)
	}
	var modes []fs.FileMode
	for _, path := range []string{d.Path(), d.Path() + "/f", d.Path() + "/g"} {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		modes = append(modes, fi.Mode().Perm())
	}
	if diff := cmp.Diff([]fs.FileMode{0o700, 0o600, 0o600}, modes); diff != "" {
		t.Error(diff)
	}
}
