//go:build unix

package securefile

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// names are those of a folder's files.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// old gives a file a time of ten minutes ago.
func old(t *testing.T, path string) {
	t.Helper()
	past := time.Now().Add(-10 * time.Minute)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
}

// What a killed writer left goes with the next write of any file, and nothing else
// does.
func TestDirSweeps(t *testing.T) {
	d := openTemp(t)
	left, living := ".f.json."+rand.Text(), ".g."+rand.Text()
	stays := []string{"f.json", ".f.json", ".f.json.bak", ".f.json." + rand.Text()[1:], ".f." + "a" + rand.Text()[1:], "f." + rand.Text()}
	for _, n := range append([]string{left}, stays...) {
		old(t, put(t, filepath.Join(d.Path(), n), "x", 0o600))
	}
	put(t, filepath.Join(d.Path(), living), "x", 0o600)
	folder := ".d." + rand.Text()
	if err := os.Mkdir(filepath.Join(d.Path(), folder), 0o700); err != nil {
		t.Fatal(err)
	}
	old(t, filepath.Join(d.Path(), folder))
	if err := d.WriteFile("other", []byte("y")); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(stays), living, folder, "other")
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, d.Path())); diff != "" {
		t.Error(diff)
	}
	old(t, filepath.Join(d.Path(), living))
	if err := d.KeepFile("other", []byte("z")); err != nil || slices.Contains(names(t, d.Path()), living) {
		t.Errorf("%v; there are %q", err, names(t, d.Path()))
	}
}

// Beside a file of the user's only what has our own mark goes.
func TestWriteFileSweeps(t *testing.T) {
	d := t.TempDir()
	left, living := ".profiles.ini.lakebase-123", ".profiles.ini.lakebase-456"
	stays := []string{".profiles.ini.20240101", ".profiles.ini.lakebase-", ".profiles.ini.lakebase-1a", ".other.lakebase-123", "profiles.ini.lakebase-1"}
	for _, n := range append([]string{left}, stays...) {
		old(t, put(t, filepath.Join(d, n), "x", 0o600))
	}
	put(t, filepath.Join(d, living), "x", 0o600)
	if err := WriteFile(filepath.Join(d, "profiles.ini"), []byte("y")); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(stays), living, "profiles.ini")
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, d)); diff != "" {
		t.Error(diff)
	}
}

// A write that fails leaves nothing.
func TestFailedWriteLeavesNothing(t *testing.T) {
	d := openTemp(t)
	if err := os.Mkdir(filepath.Join(d.Path(), "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("folder", []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if got := names(t, d.Path()); !slices.Equal(got, []string{"folder"}) {
		t.Errorf("there are %q", got)
	}
}
