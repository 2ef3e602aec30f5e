//go:build unix

package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// put writes an executable file and returns its path.
func put(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// No test that runs beside may fork while it is open: its child would hold it,
	// and what is open for writing cannot be executed (execve(2), ETXTBSY).
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o600)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const good = "#!/bin/sh\nexit 0\n"

func TestFindInPath(t *testing.T) {
	d := t.TempDir()
	put(t, d, "one/cmd", good, 0o755)
	put(t, d, "two/cmd", good, 0o755)
	put(t, d, "plain/cmd", good, 0o644)
	put(t, d, "isdir/cmd/x", good, 0o755)
	put(t, d, "here", good, 0o755)
	put(t, d, "dash/-x", "exit 0", 0o755)
	put(t, d, "-d/x", "exit 0", 0o755)
	if err := os.Symlink("nowhere", filepath.Join(d, "dangling")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(d)
	for _, c := range []struct {
		name, typed, path string
		unset             bool
		want              string // the file, or
		missing, refused  string // a part of the reason
	}{
		{name: "first entry wins", typed: "cmd", path: d + "/one:" + d + "/two", want: d + "/one/cmd"},
		{name: "order", typed: "cmd", path: d + "/two:" + d + "/one", want: d + "/two/cmd"},
		{name: "missing folders are passed over", typed: "cmd", path: "/nowhere:" + d + "/here:" + d + "/one", want: d + "/one/cmd"},
		{name: "a file without x is passed over", typed: "cmd", path: d + "/plain:" + d + "/one", want: d + "/one/cmd"},
		{name: "a folder is passed over", typed: "cmd", path: d + "/isdir:" + d + "/one", want: d + "/one/cmd"},
		{name: "a file without x is remembered", typed: "cmd", path: d + "/plain:/nowhere", refused: "no execute permission"},
		{name: "a folder is remembered", typed: "cmd", path: d + "/isdir:/nowhere", refused: "is a directory"},
		{name: "nothing", typed: "cmd", path: "/nowhere", missing: "no such command in PATH"},
		{name: "an empty entry is here", typed: "here", path: "/nowhere::/bin", want: "./here"},
		{name: "an empty PATH is here", typed: "here", want: "./here"},
		{name: "no PATH is the default", typed: "sh", unset: true, want: "/bin/sh"},
		{name: "no PATH is not here", typed: "here", unset: true, missing: "no such command in PATH"},
		{name: "a relative entry", typed: "cmd", path: "one/", want: "one/cmd"},
		{name: "a path is not searched for", typed: "./here", path: d + "/one", want: "./here"},
		{name: "nor elsewhere", typed: "./cmd", path: d + "/one", missing: "no such file"},
		{name: "an absolute path", typed: d + "/one/cmd", want: d + "/one/cmd"},
		{name: "a path without x", typed: "plain/cmd", refused: "no execute permission"},
		{name: "a path to a folder", typed: "./one", refused: "is a directory"},
		{name: "a path through a file", typed: "./here/x", missing: "no such file"},
		{name: "a dangling link", typed: "./dangling", missing: "no such file"},
		{name: "a long name", typed: strings.Repeat("x", 300), path: d, missing: "no such command"},
		{name: "empty", typed: "", path: d, missing: "empty"},
		{name: "a device", typed: "/dev/null", refused: "not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			argv := []string{c.typed, "a", ""}
			got, err := Find(argv, Search{Path: c.path, PathSet: !c.unset})
			if c.want != "" {
				if diff := cmp.Diff(Command{Path: c.want, Argv: argv}, got); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				return
			}
			wantRefusal(t, err, c.missing, c.refused)
		})
	}
	if _, err := Find(nil, Search{}); err == nil {
		t.Error("no argv at all was found")
	}
}

func wantRefusal(t *testing.T, err error, missing, refused string) {
	t.Helper()
	var notFound *NotFoundError
	var notExec *NotExecutableError
	switch {
	case missing != "" && errors.As(err, &notFound) && strings.Contains(notFound.Reason, missing):
	case refused != "" && errors.As(err, &notExec) && strings.Contains(notExec.Reason, refused):
	default:
		t.Errorf("got %T %v; want missing %q or refused %q", err, err, missing, refused)
	}
}

func TestFindRelativeToDir(t *testing.T) {
	d := t.TempDir()
	put(t, d, "bin/cmd", good, 0o755)
	put(t, d, "rel", "#!bin/cmd\n", 0o755)
	for typed, want := range map[string]string{"cmd": d + "/bin/cmd", "bin/cmd": d + "/bin/cmd", "./rel": d + "/./rel"} {
		c, err := Find([]string{typed}, Search{Path: "bin", PathSet: true, Dir: d})
		if err != nil || c.Path != want {
			t.Errorf("%s: %+v, %v", typed, c, err)
		}
	}
}

// TestPermissionIsOurs: the x bit of somebody else does not help us, unless we
// are root, to whom any x bit is enough.
func TestPermissionIsOurs(t *testing.T) {
	path := put(t, t.TempDir(), "cmd", good, 0o010)
	_, err := Find([]string{path}, Search{})
	if os.Geteuid() == 0 {
		if err != nil {
			t.Error(err)
		}
		return
	}
	wantRefusal(t, err, "", "permission denied")
	if !errors.Is(err, unix.EACCES) {
		t.Errorf("%v is no EACCES", err)
	}
}

func TestFifoDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o755); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := Find([]string{path}, Search{})
		done <- err
		_, err = foresee(path, "", 0) // as if it had been swapped after the check
		done <- err
	}()
	for i := range 2 {
		select {
		case err := <-done:
			if i == 0 {
				wantRefusal(t, err, "", "not a regular file")
			} else if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("blocked on a fifo")
		}
	}
}
