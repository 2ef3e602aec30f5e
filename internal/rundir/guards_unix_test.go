//go:build unix

package rundir

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// What has no plain file as its lock was not made by us, and is let alone.
func TestSweepWantsAPlainLock(t *testing.T) {
	parent := t.TempDir()
	past := time.Now().Add(-time.Hour)
	for name, lock := range map[string]func(string) error{
		"run-fifofifo": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"run-linklink": func(path string) error { return os.Symlink("elsewhere", path) },
		"run-dirdirdi": func(path string) error { return os.Mkdir(path, 0o700) },
		"run-filefile": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		must(t, os.Mkdir(filepath.Join(parent, name), 0o700))
		must(t, lock(filepath.Join(parent, name, lockFile)))
		must(t, os.Chtimes(filepath.Join(parent, name), past, past))
	}
	if n, err := Sweep(parent); n != 1 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"run-dirdirdi", "run-fifofifo", "run-linklink"}) {
		t.Errorf("left are %q", got)
	}
}
