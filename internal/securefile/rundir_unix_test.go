//go:build unix

package securefile

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

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
	if got := names(t, d.Path()); len(got) != 2 || got[0] != runLockName(got[1]) || !strings.HasPrefix(got[1], "run-") {
		t.Errorf("got %q", got)
	}
	must(t, r.RemoveAll())
	if got := names(t, d.Path()); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// No sweep takes the lock of a run that is being created.
func TestNewRunDir_BesideSweeps(t *testing.T) {
	d := openTemp(t)
	done := make(chan struct{})
	var sweeps sync.WaitGroup
	for range 4 {
		sweeps.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = d.SweepRunDirs()
				}
			}
		})
	}
	for range 100 {
		r, err := d.NewRunDir()
		must(t, err)
		if _, err := os.Stat(filepath.Join(d.Path(), runLockName(r.name))); err != nil {
			t.Error(err)
		}
		must(t, r.RemoveAll())
	}
	close(done)
	sweeps.Wait()
}

// A killed run's directory is swept: its lock is free. One that lives, is being
// created, or is not a run's stays, and no link is followed.
func TestSweepRunDirs(t *testing.T) {
	d, outside := openTemp(t), t.TempDir()
	in := func(name string) string { return filepath.Join(d.Path(), name) }
	alive, err := d.NewRunDir()
	must(t, err)
	killed, err := d.NewRunDir()
	must(t, err, killed.WriteFile("passfile", []byte("canary")))
	killed.unlock() // as the kernel does
	defer killed.Close()
	put(t, outside+"/file", "", 0o600)
	must(t, os.Symlink(outside, in("run-linklink")), os.Symlink(outside+"/file", in(".run-linklock.lock")), syscall.Mkfifo(in(".run-fifofifo.lock"), 0o600))
	put(t, in(".run-linklink.lock"), "", 0o600)
	put(t, in(".run-onlylock.lock"), "", 0o600)
	want := []string{alive.name, runLockName(alive.name), ".run-fifofifo.lock", "run-fifofifo", ".run-linklock.lock", "run-linklock"}
	for _, name := range []string{"run-fifofifo", "run-linklock", "run-aaaaaaaa", "run-data"} { // those without a lock are a service's own
		put(t, in(name+"/file"), "", 0o600)
	}
	for _, name := range []string{".run-data.lock", ".other.lock", ".run-youngyou.lock." + rand.Text()} {
		put(t, in(name), "", 0o600)
		want = append(want, name)
	}
	put(t, in(".run-notempty.lock"), "x", 0o600)
	want = append(want, "run-aaaaaaaa", "run-data", ".run-notempty.lock")
	if n, err := d.SweepRunDirs(); n != 3 || err != nil {
		t.Errorf("got %d swept, %v; want 3", n, err)
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

// What cannot be removed keeps its lock, so that the next sweep tries again.
func TestSweepRunDirs_Fails(t *testing.T) {
	if os.Geteuid() == 0 {
		return // root can remove everything
	}
	d := openTemp(t)
	put(t, d.Path()+"/run-aaaaaaaa/stuck/file", "", 0o600)
	put(t, d.Path()+"/.run-aaaaaaaa.lock", "", 0o600)
	must(t, os.Chmod(d.Path()+"/run-aaaaaaaa/stuck", 0o500))
	if _, err := d.SweepRunDirs(); err == nil || len(names(t, d.Path())) != 2 {
		t.Errorf("got %v, left %q", err, names(t, d.Path()))
	}
	must(t, os.Chmod(d.Path()+"/run-aaaaaaaa/stuck", 0o700))
	if n, err := d.SweepRunDirs(); n != 1 || err != nil || len(names(t, d.Path())) != 0 {
		t.Errorf("got %d, %v, left %q", n, err, names(t, d.Path()))
	}
}
