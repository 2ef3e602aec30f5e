package rundir

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func TestMakeAndRemove(t *testing.T) {
	parent := t.TempDir()
	d, err := Make(parent)
	must(t, err)
	info, err := os.Stat(d.Path())
	must(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, os.WriteFile(filepath.Join(d.Path(), "passfile"), nil, 0o600))
	if n, err := Sweep(parent); n != 0 || err != nil {
		t.Errorf("%d swept beside a run that lives, %v", n, err)
	}
	if got := names(t, parent); len(got) != 1 || !strings.HasPrefix(got[0], made) {
		t.Errorf("%q", got)
	}
	must(t, d.Remove())
	if got := names(t, parent); len(got) != 0 {
		t.Errorf("%q stays", got)
	}
}

// What a killed run leaves is swept: its lock is free. What is not a run's, is
// being made, or is a link, stays.
func TestSweep(t *testing.T) {
	parent, outside := t.TempDir(), t.TempDir()
	alive, err := Make(parent)
	must(t, err)
	killed, err := Make(parent)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(killed.Path(), "passfile"), []byte("dose"), 0o600))
	must(t, killed.lock.Close()) // as the kernel does
	must(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o600))

	folder := func(name string, age time.Duration) {
		must(t, os.Mkdir(filepath.Join(parent, name), 0o700))
		at := time.Now().Add(-age)
		must(t, os.Chtimes(filepath.Join(parent, name), at, at))
	}
	folder("new-youngone", 0)
	folder("new-oldoldol", time.Hour)
	folder("run-nolocknl", time.Hour)
	folder("other", time.Hour)
	must(t, os.WriteFile(filepath.Join(parent, "run-filefile"), nil, 0o600))
	want := []string{filepath.Base(alive.Path()), "new-youngone", "other", "run-filefile"}
	if os.Symlink(outside, filepath.Join(parent, "run-linklink")) == nil {
		want = append(want, "run-linklink")
	}
	n, err := Sweep(parent)
	if n != 3 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	slices.Sort(want)
	if got := names(t, parent); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if got := names(t, outside); len(got) != 1 {
		t.Error("a link was followed")
	}
	must(t, alive.Remove())
	_ = killed.root.Close()
}

func TestMakeFails(t *testing.T) {
	if d, err := Make(filepath.Join(t.TempDir(), "none")); err == nil || d != nil {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := Sweep(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
