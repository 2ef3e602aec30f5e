//go:build unix

package securefile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunDir(t *testing.T) {
	d := openTemp(t)
	r, err := d.NewRunDir()
	must(t, err)
	if fi, err := os.Stat(r.Path()); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", fi, err)
	}
	must(t, r.WriteFile("passfile", nil))
	if n, err := d.SweepRunDirs(); n != 0 || err != nil {
		t.Errorf("got %d swept beside a living run, %v", n, err)
	}
	if got := names(t, d.Path()); len(got) != 1 || !strings.HasPrefix(got[0], runPrefix) {
		t.Errorf("got %q", got)
	}
	must(t, r.RemoveAll())
	if got := names(t, d.Path()); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// A killed run's directory is swept: its lock is free. One that lives, is being
// created, or is not a run's stays, and no link is followed.
func TestSweepRunDirs(t *testing.T) {
	d, outside := openTemp(t), t.TempDir()
	in := func(names ...string) string { return filepath.Join(append([]string{d.Path()}, names...)...) }
	alive, err := d.NewRunDir()
	must(t, err)
	killed, err := d.NewRunDir()
	must(t, err, killed.WriteFile("passfile", []byte("canary")))
	killed.unlock() // as the kernel does
	defer killed.parent.Close()
	defer killed.Close()
	want := []string{filepath.Base(alive.Path())}
	dir := func(name string, old time.Duration, swept bool, make ...func(lock string) error) {
		must(t, os.Mkdir(in(name), 0o700))
		for _, m := range make {
			must(t, m(in(name, lockFile)))
		}
		at := time.Now().Add(-old)
		must(t, os.Chtimes(in(name), at, at))
		if !swept {
			want = append(want, name)
		}
	}
	write := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	dir("new-youngone", 0, false)
	dir("new-oldoldol", time.Hour, true)
	dir("new-younglok", 0, false, write(""))
	dir("new-oldlockd", time.Hour, true, write(""))
	dir("run-nolocknl", time.Hour, true)
	dir("run-freelock", time.Hour, true, write(""))
	dir("run-fifofifo", time.Hour, false, func(path string) error { return syscall.Mkfifo(path, 0o600) })
	dir("run-linklock", time.Hour, false, func(path string) error { return os.Symlink("elsewhere", path) })
	dir("run-dirdirdi", time.Hour, false, func(path string) error { return os.Mkdir(path, 0o700) })
	for _, name := range []string{"run-data", "new-uploads", "run-aaaaaaaa", "run-", "run-AAAAAAAA", "run-aaaaaaaaa", "other"} { // a service's own
		dir(name, time.Hour, false, write("not empty"))
	}
	must(t, os.WriteFile(in("run-filefile"), nil, 0o600), os.Symlink(outside, in("run-linklink")), write("")(filepath.Join(outside, lockFile)))
	want = append(want, "run-filefile", "run-linklink")
	if n, err := d.SweepRunDirs(); n != 5 || err != nil {
		t.Errorf("got %d swept, %v; want 5", n, err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, d.Path())); diff != "" {
		t.Error(diff)
	}
	if got := names(t, outside); len(got) != 1 {
		t.Error("a link was followed")
	}
	must(t, alive.RemoveAll())
}

// The lock is removed last: a directory without one is empty.
func TestRemoveDir_LockLast(t *testing.T) {
	d := openTemp(t)
	for _, name := range []string{"agent", lockFile, "passfile"} {
		put(t, filepath.Join(d.Path(), "run", name), "", 0o600)
	}
	must(t, os.Mkdir(filepath.Join(d.Path(), "run", "stuck"), 0o700))
	put(t, filepath.Join(d.Path(), "run", "stuck", "file"), "", 0o600)
	if os.Geteuid() != 0 { // root removes it anyway
		must(t, os.Chmod(filepath.Join(d.Path(), "run", "stuck"), 0o500))
		if err := removeDir(d.root, "run"); err == nil || !slices.Equal(names(t, filepath.Join(d.Path(), "run")), []string{lockFile, "stuck"}) {
			t.Errorf("got %v, left %q", err, names(t, filepath.Join(d.Path(), "run")))
		}
		must(t, os.Chmod(filepath.Join(d.Path(), "run", "stuck"), 0o700))
	}
	must(t, removeDir(d.root, "run"))
	if got := names(t, d.Path()); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
