//go:build unix

package securefile

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestDirFiles(t *testing.T) {
	d := openTemp(t)
	if _, err := d.ReadFile("f", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"first text", "2"} {
		if err := d.WriteFile("f", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := d.ReadFile("f", 10); err != nil || string(data) != text {
			t.Errorf("%q %v", data, err)
		}
	}
	if fi, err := os.Stat(d.Path() + "/f"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
	if err := d.WriteFile("f", make([]byte, 11)); err != nil {
		t.Fatal(err)
	}
	_, err := d.ReadFile("f", 10)
	wantError(t, err, "larger than 10 bytes", "")
	if err := errors.Join(d.Remove("f"), d.Remove("f")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(d.Path()); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestDirKeepFile(t *testing.T) {
	d := openTemp(t)
	for _, text := range []string{"old", "new"} {
		if err := d.KeepFile("f", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := d.ReadFile("f", 10); err != nil || string(data) != text {
			t.Errorf("%q %v", data, err)
		}
	}
	if fi, err := os.Stat(d.Path() + "/f"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
	wantError(t, d.KeepFile("../f", nil), "no plain file name", "")
}

func TestDirNames(t *testing.T) {
	d := openTemp(t)
	if names, err := d.Names(0); len(names) > 0 || err != nil {
		t.Errorf("%v %v", names, err)
	}
	put(t, d.Path()+"/b", "", 0o644)
	put(t, d.Path()+"/.a", "", 0o600)
	names, err := d.Names(2)
	if diff := cmp.Diff([]string{".a", "b"}, names); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	_, err = d.Names(1)
	wantError(t, err, "more than 1 files", "")
}

func TestDirOpenFlags(t *testing.T) {
	d := openTemp(t)
	for _, c := range []struct {
		flag int
		put  string // what stands there before; "-" for nothing
		want error
		left string
	}{
		{flag: os.O_RDONLY, put: "-", want: fs.ErrNotExist},
		{flag: os.O_RDWR, put: "-", want: fs.ErrNotExist},
		{flag: os.O_RDWR | os.O_CREATE, put: "-"},
		{flag: os.O_RDWR | os.O_CREATE, put: "old", left: "old"},
		{flag: os.O_RDWR | os.O_TRUNC, put: "old"},
		{flag: os.O_RDWR | os.O_CREATE | os.O_TRUNC, put: "old"},
		{flag: os.O_RDWR | os.O_CREATE | os.O_EXCL, put: "-"},
		{flag: os.O_RDWR | os.O_CREATE | os.O_EXCL, put: "old", want: fs.ErrExist, left: "old"},
	} {
		_ = d.Remove("f")
		if c.put != "-" {
			put(t, d.Path()+"/f", c.put, 0o600)
		}
		f, err := d.Open("f", c.flag)
		if !errors.Is(err, c.want) {
			t.Errorf("%x on %q: %v", c.flag, c.put, err)
		}
		if err == nil {
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("the descriptor would reach the command: %x %v", flags, err)
			}
			_ = f.Close()
		}
		if data, _ := os.ReadFile(d.Path() + "/f"); string(data) != c.left {
			t.Errorf("%x on %q leaves %q", c.flag, c.put, data)
		}
	}
}

func TestDirOpenRefusals(t *testing.T) {
	d := openTemp(t)
	in := func(name string) string { return d.Path() + "/" + name }
	put(t, in("wide"), "keep", 0o644)
	put(t, in("good"), "good", 0o600)
	outside := put(t, t.TempDir()+"/outside", "keep", 0o600)
	err := errors.Join(os.Symlink("good", in("inner")), os.Symlink(outside, in("outer")), os.Symlink("nowhere", in("dangling")),
		os.Mkdir(in("folder"), 0o700), unix.Mkfifo(in("fifo"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ reason, fix string }{
		"wide":     {"mode 0644", "chmod 600 " + in("wide")},
		"inner":    {"it is a symbolic link", ""},
		"outer":    {"it is a symbolic link", ""},
		"dangling": {"it is a symbolic link", ""},
		"folder":   {"it is a directory", ""},
		"fifo":     {"it is a pipe", ""},
	} {
		for _, flag := range []int{os.O_RDONLY, os.O_RDWR | os.O_CREATE | os.O_TRUNC} {
			within(t, func() {
				_, err := d.Open(name, flag)
				wantError(t, err, c.reason, c.fix)
			})
		}
	}
	for path, want := range map[string]string{in("wide"): "keep", outside: "keep", in("good"): "good"} {
		if data, err := os.ReadFile(path); err != nil || string(data) != want {
			t.Errorf("%s was changed: %q %v", path, data, err)
		}
	}
	if f, err := d.Open("good", os.O_RDONLY); err != nil {
		t.Error(err)
	} else {
		_ = f.Close()
	}
	if give(t, put(t, in("given"), "", 0o600)) {
		_, err := d.Open("given", os.O_RDONLY)
		wantError(t, err, "belongs to uid 12345", "chown 0 "+in("given"))
	}
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "../x", `a\b`, "a:b", "a\x00b", strings.Repeat("x", 256)} {
		_, err := d.Open(name, os.O_RDWR|os.O_CREATE)
		wantError(t, err, "no plain file name", "")
		wantError(t, d.WriteFile(name, nil), "no plain file name", "")
		wantError(t, d.Remove(name), "no plain file name", "")
	}
	// WriteFile replaces a link; it does not write through it.
	if err := d.WriteFile("outer", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(outside); string(data) != "keep" {
		t.Errorf("written through a link: %q", data)
	}
}
