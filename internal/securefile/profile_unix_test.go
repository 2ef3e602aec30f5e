//go:build unix

package securefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadProfile(t *testing.T) {
	d := t.TempDir()
	for name, c := range map[string]struct {
		text        string
		mode        fs.FileMode
		reason, fix string
	}{
		"ours":      {text: "[a]\n", mode: 0o600},
		"readable":  {text: "[a]\n", mode: 0o644},
		"empty":     {mode: 0o600},
		"the-most":  {text: strings.Repeat("x", MaxProfile), mode: 0o600},
		"too-large": {text: strings.Repeat("x", MaxProfile+1), mode: 0o600, reason: "larger than 1048576 bytes"},
		"by-group":  {mode: 0o620, reason: "may write it (mode 0620)", fix: "chmod go-w " + d + "/by-group"},
		"by-others": {mode: 0o602, reason: "may write it (mode 0602)", fix: "chmod go-w " + d + "/by-others"},
	} {
		data, err := ReadProfile(put(t, d+"/"+name, c.text, c.mode))
		if c.reason != "" {
			wantError(t, err, c.reason, c.fix)
		} else if err != nil || string(data) != c.text {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Symlink("readable", d+"/link"); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadProfile(d + "/link"); err != nil || string(data) != "[a]\n" {
		t.Errorf("through a link: %q %v", data, err)
	}
	if _, err := ReadProfile("/etc/passwd"); err != nil {
		t.Errorf("root's: %v", err)
	}
	_, err := ReadProfile(d + "/none")
	if wantError(t, err, "no such file", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
	if err := unix.Mkfifo(d+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, func() { _, err = ReadProfile(d + "/fifo") })
	wantError(t, err, "it is a pipe", "")
	if path := put(t, d+"/given", "", 0o644); give(t, path) {
		_, err = ReadProfile(path)
		wantError(t, err, "belongs to uid 12345, and we are 0", "chown 0 "+path)
	}
}

func TestProfileRefusal(t *testing.T) {
	const me, other = 1000, 1001
	for _, c := range []struct {
		m           meta
		reason, fix string
	}{
		{m: meta{mode: 0o644, owner: me}},
		{m: meta{mode: 0o644, owner: 0}},
		{m: meta{mode: 0o664, owner: 0}, reason: "mode 0664", fix: "sudo chmod go-w /p"},
		{m: meta{mode: 0o600, owner: other}, reason: "uid 1001", fix: "sudo chown 1000 /p"},
	} {
		e := profileRefusal("/p", c.m, me)
		if c.reason == "" && e == nil {
			continue
		}
		wantError(t, e, c.reason, c.fix)
	}
}

func TestWriteFile(t *testing.T) {
	d := t.TempDir()
	check := func(path, text string, mode fs.FileMode) {
		t.Helper()
		data, err := os.ReadFile(path)
		fi, err2 := os.Stat(path)
		if err != nil || err2 != nil || string(data) != text || fi.Mode().Perm() != mode {
			t.Errorf("%s: %q %v %v %v", path, data, fi, err, err2)
		}
	}
	path := d + "/a/b/profiles.ini"
	for _, text := range []string{"one", "two", ""} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		check(path, text, 0o600)
	}
	if fi, err := os.Stat(d + "/a"); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", fi, err)
	}
	for before, after := range map[fs.FileMode]fs.FileMode{0o400: 0o400, 0o644: 0o600, 0o755: 0o600} {
		path := put(t, fmt.Sprintf("%s/mode%o", d, before), "old", before)
		if err := WriteFile(path, []byte("new")); err != nil {
			t.Fatal(err)
		}
		check(path, "new", after)
	}
	for link, target := range map[string]string{"l1": "dots/real", "l2": d + "/l1", "l3": "dots/unmade"} {
		if err := os.Symlink(target, filepath.Join(d, link)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d+"/dots/real", "old", 0o600)
	for link, target := range map[string]string{"l2": "dots/real", "l3": "dots/unmade"} {
		if err := WriteFile(d+"/"+link, []byte("by "+link)); err != nil {
			t.Fatal(err)
		}
		check(d+"/"+target, "by "+link, 0o600)
		if fi, err := os.Lstat(d + "/" + link); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("the link is gone: %v %v", fi, err)
		}
	}
	if err := os.Symlink("loop", d+"/loop"); err != nil {
		t.Fatal(err)
	}
	wantError(t, WriteFile(d+"/loop", nil), "too many symbolic links", "")
	wantError(t, WriteFile(d, nil), "it is a directory", "")
	wantError(t, WriteFile(path+"/x", nil), "not a directory", "")
	if left, _ := filepath.Glob(d + "/.*"); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

// TestWriteFileIsAtomic: a reader that has the old file open keeps all of it.
func TestWriteFileIsAtomic(t *testing.T) {
	path := put(t, t.TempDir()+"/f", "old text", 0o600)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if data, err := readBounded(path, f, 100); err != nil || string(data) != "old text" {
		t.Errorf("%q %v", data, err)
	}
}
