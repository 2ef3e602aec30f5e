package rundir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A folder that is being made has a lock file that nobody holds for an instant,
// and is let alone; one that was left so is swept.
func TestSweepLetsMakersFinish(t *testing.T) {
	parent := t.TempDir()
	past := time.Now().Add(-time.Hour)
	for _, name := range []string{"new-youngone", "new-oldoldol"} {
		must(t, os.Mkdir(filepath.Join(parent, name), 0o700))
		must(t, os.WriteFile(filepath.Join(parent, name, lockFile), nil, 0o600))
	}
	must(t, os.Chtimes(filepath.Join(parent, "new-oldoldol"), past, past))
	if n, err := Sweep(parent); n != 1 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"new-youngone"}) {
		t.Errorf("left are %q", got)
	}
}

// A service's own folders in the runtime folder are nobody's to remove, by whatever
// name they go.
func TestSweepTakesNobodysFolder(t *testing.T) {
	parent := t.TempDir()
	past := time.Now().Add(-time.Hour)
	files := map[string]string{"run-data": "db", "new-uploads": "a", "new-features": "b", "run-aaaaaaaa": "lock", "run-": "lock", "run-AAAAAAAA": "lock", "run-aaaaaaaaa": "lock"}
	for name, file := range files {
		must(t, os.Mkdir(filepath.Join(parent, name), 0o700))
		must(t, os.WriteFile(filepath.Join(parent, name, file), []byte("x"), 0o600))
		must(t, os.Chtimes(filepath.Join(parent, name), past, past))
	}
	if n, err := Sweep(parent); n != 0 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	for name, file := range files {
		if _, err := os.Stat(filepath.Join(parent, name, file)); err != nil {
			t.Error(err)
		}
	}
}

// A folder without its lock has nothing in it, so the lock is removed last.
func TestLockIsRemovedLast(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"agent", lockFile, "passfile", "status"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	inside, err := os.ReadDir(dir)
	must(t, err)
	if got := lockLast(inside); !slices.Equal(got, []string{"agent", "passfile", "status", lockFile}) {
		t.Errorf("removed in the order %q", got)
	}
}

// A link with a run's name is no run, wherever it leads.
func TestSweepTakesNoLink(t *testing.T) {
	parent := t.TempDir()
	kept := filepath.Join(parent, "kept")
	must(t, os.Mkdir(kept, 0o700))
	must(t, os.WriteFile(filepath.Join(kept, lockFile), nil, 0o600))
	if err := os.Symlink("kept", filepath.Join(parent, "run-linklink")); err != nil {
		return // a Windows that keeps links from us
	}
	if n, err := Sweep(parent); n != 0 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"kept", "run-linklink"}) {
		t.Errorf("left are %q", got)
	}
	if got := names(t, kept); !slices.Equal(got, []string{lockFile}) {
		t.Errorf("behind the link are %q", got)
	}
}
