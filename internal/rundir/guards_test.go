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
	for _, name := range []string{"new-young", "new-old"} {
		must(t, os.Mkdir(filepath.Join(parent, name), 0o700))
		must(t, os.WriteFile(filepath.Join(parent, name, lockFile), nil, 0o600))
	}
	must(t, os.Chtimes(filepath.Join(parent, "new-old"), past, past))
	if n, err := Sweep(parent); n != 1 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"new-young"}) {
		t.Errorf("left are %q", got)
	}
}

// A link with a run's name is no run, wherever it leads.
func TestSweepTakesNoLink(t *testing.T) {
	parent := t.TempDir()
	kept := filepath.Join(parent, "kept")
	must(t, os.Mkdir(kept, 0o700))
	must(t, os.WriteFile(filepath.Join(kept, lockFile), nil, 0o600))
	if err := os.Symlink("kept", filepath.Join(parent, "run-link")); err != nil {
		return // a Windows that keeps links from us
	}
	if n, err := Sweep(parent); n != 0 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"kept", "run-link"}) {
		t.Errorf("left are %q", got)
	}
	if got := names(t, kept); !slices.Equal(got, []string{lockFile}) {
		t.Errorf("behind the link are %q", got)
	}
}
