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

// A link that appears between two steps of OpenDir is never followed.
func TestOpenDir_WhileSwapped(t *testing.T) {
	parent := t.TempDir()
	ours, theirs, link := filepath.Join(parent, "run"), filepath.Join(parent, "theirs"), filepath.Join(parent, "link")
	must(t, os.Mkdir(ours, 0o700), os.Symlink("theirs", link))
	put(t, filepath.Join(theirs, "mark"), "x", 0o600)
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				done <- nil
				return
			default:
				err = unix.Renameat2(unix.AT_FDCWD, ours, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
			}
		}
		done <- err
	}()
	opened, rejected := 0, 0
	for end := time.Now().Add(10 * time.Second); (opened < 300 || rejected < 300) && time.Now().Before(end) && !t.Failed(); {
		d, err := OpenDir([]string{ours})
		if err != nil {
			rejected++
			continue
		}
		opened++
		if _, err := d.ReadFile("mark", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory behind the link was opened (%v)", err)
		}
		_ = d.Close()
	}
	close(stop)
	if err := <-done; err != nil || opened == 0 || rejected == 0 {
		t.Errorf("got %d opened, %d rejected, %v", opened, rejected, err)
	}
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
