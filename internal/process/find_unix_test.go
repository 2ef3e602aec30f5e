//go:build unix

package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeFile writes a file and returns its path.
func writeFile(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	// No parallel test may fork while the file is open: the child would inherit it,
	// and what is open for writing cannot be executed (execve(2), ETXTBSY).
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o600)
	syscall.ForkLock.RUnlock()
	must(t, err)
	must(t, os.Chmod(path, mode))
	return path
}

const script = "#!/bin/sh\nexit 0\n"

func TestFind(t *testing.T) {
	d := t.TempDir()
	writeFile(t, d, "one/cmd", script, 0o755)
	writeFile(t, d, "two/cmd", script, 0o755)
	writeFile(t, d, "plain/cmd", script, 0o644)
	writeFile(t, d, "isdir/cmd/x", script, 0o755)
	writeFile(t, d, "here", script, 0o755)
	writeFile(t, d, "others", script, 0o010)
	must(t, unix.Mkfifo(filepath.Join(d, "fifo"), 0o600))
	t.Chdir(d)
	others := `cannot execute "./others": permission denied` // except for root
	if os.Geteuid() == 0 {
		others = ""
	}
	for _, c := range []struct {
		name, typed, path string
		want              string // the file, or
		err               string // the error, and
		hint              string
	}{
		{name: "first entry wins", typed: "cmd", path: d + "/one:" + d + "/two", want: d + "/one/cmd"},
		{name: "skips what is not executable", typed: "cmd", want: d + "/one/cmd",
			path: "/nowhere:" + d + "/here:" + d + "/plain:" + d + "/isdir:" + d + "/one"},
		{name: "reports a file without x", typed: "cmd", path: d + "/plain:/nowhere",
			err: `cannot execute "` + d + `/plain/cmd": no execute permission`, hint: "run: chmod +x " + d + "/plain/cmd"},
		{name: "reports a directory", typed: "cmd", path: d + "/isdir:/nowhere",
			err: `cannot execute "` + d + `/isdir/cmd": is a directory`, hint: "name a program inside the directory"},
		{name: "not found", typed: "cmd", path: "/nowhere", err: `command "cmd" not found in PATH`, hint: "check the command's name and PATH"},
		{name: "empty entry", typed: "here", path: "/nowhere::/bin", want: "./here"},
		{name: "empty PATH", typed: "here", want: "./here"},
		{name: "relative entry", typed: "cmd", path: "one/", want: "one/cmd"},
		{name: "a path is not searched", typed: "./here", path: d + "/one", want: "./here"},
		{name: "a missing path", typed: "./cmd", path: d + "/one", err: `command "./cmd" not found`},
		{name: "path through a file", typed: "./here/x", err: `command "./here/x" not found`},
		{name: "long name", typed: strings.Repeat("x", 300), path: d, err: `command "` + strings.Repeat("x", 300) + `" not found in PATH`},
		{name: "empty name", typed: "", path: d, err: `command "" not found`},
		{name: "FIFO", typed: "./fifo", err: `cannot execute "./fifo": no execute permission`},
		{name: "permission of others", typed: "./others", want: "./others", err: others},
	} {
		t.Run(c.name, func(t *testing.T) {
			argv := []string{c.typed, "a", ""}
			got, err := Find(argv, c.path)
			if c.err == "" {
				if diff := cmp.Diff(Command{Path: c.want, Argv: argv}, got); err != nil || diff != "" {
					t.Errorf("got error %v, diff %s", err, diff)
				}
				return
			}
			var hint interface{ Hint() string }
			if err == nil || err.Error() != c.err || !errors.As(err, &hint) || c.hint != "" && hint.Hint() != c.hint {
				t.Errorf("got error %q, hint %v; want %q, %q", err, hint, c.err, c.hint)
			}
		})
	}
}
