package securefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// whileSwapping exchanges the names a and b continuously, and calls open until it
// has often succeeded and often failed, or for 10 s.
func whileSwapping(t *testing.T, a, b string, open func() error) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
		}
	}()
	opened, rejected := 0, 0
	for end := time.Now().Add(10 * time.Second); (opened < 300 || rejected < 300) && time.Now().Before(end) && !t.Failed(); {
		if err := open(); err == nil {
			opened++
		} else {
			rejected++
		}
	}
	close(stop)
	if err := <-done; err != nil || opened == 0 || rejected == 0 {
		t.Errorf("got %d opened, %d rejected, %v", opened, rejected, err)
	}
}

// A link that appears between two steps of ReadFile is never followed.
func TestDir_ReadFileWhileSwapped(t *testing.T) {
	d := openTemp(t)
	in := func(name string) string { return filepath.Join(d.Path(), name) }
	put(t, in("file"), "ours", 0o600)
	put(t, in("other"), "theirs", 0o600)
	must(t, os.Symlink("other", in("link")))
	whileSwapping(t, in("file"), in("link"), func() error {
		data, err := d.ReadFile("file", 100)
		switch {
		case err == nil && string(data) != "ours":
			t.Errorf("got %q through the link", data)
		case err != nil && !strings.Contains(err.Error(), "symbolic link") && !strings.Contains(err.Error(), "too often"):
			t.Error(err)
		}
		return err
	})
}

// Nor is one that appears between two steps of OpenDir.
func TestOpenDir_WhileSwapped(t *testing.T) {
	parent := t.TempDir()
	ours, theirs := filepath.Join(parent, "run"), filepath.Join(parent, "theirs")
	must(t, os.Mkdir(ours, 0o700), os.Mkdir(theirs, 0o700), os.Symlink("theirs", filepath.Join(parent, "link")))
	put(t, filepath.Join(theirs, "mark"), "x", 0o600)
	whileSwapping(t, ours, filepath.Join(parent, "link"), func() error {
		d, err := OpenDir([]string{ours})
		if err != nil {
			return err
		}
		defer d.Close()
		if _, err := d.ReadFile("mark", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory behind the link was opened (%v)", err)
		}
		return nil
	})
}

func TestRuntimeDirs(t *testing.T) {
	for _, c := range []struct {
		name, option, home string
		env                map[string]string
		want               string
	}{
		{name: "all", home: "/home/me", env: map[string]string{"RUNTIME_DIRECTORY": "/run/svc", "XDG_RUNTIME_DIR": "/run/user/7"},
			want: "/run/svc /run/user/7/lakebase /run/user/1000/lakebase /home/me/.local/state/lakebase/run"},
		{name: "only the option", option: "x", home: "/home/me", env: map[string]string{"RUNTIME_DIRECTORY": "/run/svc"}, want: "x"},
		{name: "several of systemd's", env: map[string]string{"RUNTIME_DIRECTORY": "/run/a:/run/b"}, want: "/run/a /run/b /run/user/1000/lakebase"},
		{name: "relative is unset", home: "me", env: map[string]string{"XDG_RUNTIME_DIR": "run"}, want: "/run/user/1000/lakebase"},
	} {
		got := strings.Join(RuntimeDirs(c.option, func(n string) string { return c.env[n] }, 1000, c.home), " ")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
