//go:build unix

package securefile

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func checkFile(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	fi, err := os.Stat(path)
	must(t, err)
	if string(data) != text || fi.Mode().Perm() != mode {
		t.Errorf("%s: got %q, mode %o; want %q, %o", path, data, fi.Mode(), text, mode)
	}
}

func TestWriteFile(t *testing.T) {
	d := t.TempDir()
	path := d + "/a/b/profiles.ini"
	for _, text := range []string{"one", "two", ""} {
		must(t, WriteFile(path, []byte(text)))
		checkFile(t, path, text, 0o600)
	}
	if fi, err := os.Stat(d + "/a"); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v", fi, err)
	}
	for before, after := range map[fs.FileMode]fs.FileMode{0o400: 0o400, 0o644: 0o600, 0o755: 0o600} {
		path := put(t, fmt.Sprintf("%s/mode%o", d, before), "old", before)
		must(t, WriteFile(path, []byte("new")))
		checkFile(t, path, "new", after)
	}
	for link, target := range map[string]string{"l1": "dots/real", "l2": d + "/l1", "l3": "dots/missing", "loop": "loop"} {
		must(t, os.Symlink(target, filepath.Join(d, link)))
	}
	put(t, d+"/dots/real", "old", 0o600)
	for link, target := range map[string]string{"l2": "dots/real", "l3": "dots/missing"} {
		must(t, WriteFile(d+"/"+link, []byte("by "+link)))
		checkFile(t, d+"/"+target, "by "+link, 0o600)
		if fi, err := os.Lstat(d + "/" + link); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("the link was replaced: %v, %v", fi, err)
		}
	}
	wantError(t, WriteFile(d+"/loop", nil), "too many symbolic links", "")
	wantError(t, WriteFile(d, nil), "is a directory", "")
	wantError(t, WriteFile(path+"/x", nil), "not a directory", "")
	if left, _ := filepath.Glob(d + "/.*"); len(left) > 0 {
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
	if data, err := readAll(path, f, 100); err != nil || string(data) != "old" {
		t.Errorf("got %q, %v; want old", data, err)
	}
	must(t, os.Symlink("f", d+"/link"))
	wantError(t, ReplaceFile(d+"/link", nil), "is a symbolic link, not a regular file", "")
	wantError(t, ReplaceFile(d+"/none/f", nil), "no such file", "")
}

// The next write removes the temporary files of a killed writer, and no other files.
func TestWrite_RemovesTemporaryFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(d *Dir) error
		own   bool // other files' temporary files are removed, too
	}{
		{"WriteFile", func(d *Dir) error { return WriteFile(d.Path()+"/f.json", nil) }, false},
		{"ReplaceFile", func(d *Dir) error { return ReplaceFile(d.Path()+"/f.json", nil) }, false},
		{"Dir.WriteFile", func(d *Dir) error { return d.WriteFile("f.json", nil) }, true},
		{"Dir.WriteFileSync", func(d *Dir) error { return d.WriteFileSync("f.json", nil) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openTemp(t)
			left, other, young, dir := ".f.json."+rand.Text(), ".g."+rand.Text(), ".f.json."+rand.Text(), ".f.json."+rand.Text()
			want := []string{".f.json", ".f.json.bak", ".f.json." + rand.Text()[1:], ".f.json." + "a" + rand.Text()[1:], "f." + rand.Text()}
			for _, name := range append([]string{left, other}, want...) {
				age(t, put(t, filepath.Join(d.Path(), name), "x", 0o600))
			}
			put(t, filepath.Join(d.Path(), young), "x", 0o600)
			must(t, os.Mkdir(filepath.Join(d.Path(), dir), 0o700))
			age(t, filepath.Join(d.Path(), dir))
			must(t, c.write(d))
			if want = append(want, young, dir, "f.json"); !c.own {
				want = append(want, other)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, names(t, d.Path())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The temporary names are those that are removed; a failed write leaves none.
func TestReplace_TemporaryName(t *testing.T) {
	d := openTemp(t)
	must(t, os.Mkdir(filepath.Join(d.Path(), "dir"), 0o700))
	if err := d.WriteFile("dir", []byte("x")); err == nil {
		t.Error("a directory was replaced")
	}
	if got := names(t, d.Path()); !slices.Equal(got, []string{"dir"}) {
		t.Errorf("got %q, want dir", got)
	}
}
