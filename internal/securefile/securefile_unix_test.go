//go:build unix

package securefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain sets the umask, as a directory that a group can write in is rejected.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(m.Run())
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// put writes a file with exactly this mode and returns its path.
func put(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	return path
}

// giveAway changes a file's owner, which only root can do, and reports whether it
// did.
func giveAway(t *testing.T, path string) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	must(t, os.Chown(path, 12345, 12345))
	return true
}

// age sets a file's time back by ten minutes.
func age(t *testing.T, path string) {
	t.Helper()
	past := time.Now().Add(-10 * time.Minute)
	must(t, os.Chtimes(path, past, past))
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantError checks for an *Error whose reason contains reason, which advises to run fix,
// or no command.
func wantError(t *testing.T, err error, reason, fix string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Reason, reason) || fix != "" && e.Advice != "run: "+fix || fix == "" && strings.HasPrefix(e.Advice, "run: ") {
		t.Errorf("got %T %v (%+v), want reason %q, fix %q", err, err, e, reason, fix)
	}
}

// checkFile checks a file's content and mode.
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

// doesNotBlock fails the test if do blocks.
func doesNotBlock(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("blocked")
	}
}

func TestReadSecret_Content(t *testing.T) {
	password := SecretRules{Password: true}
	for _, c := range []struct {
		name, text, want, reason string
		rules                    SecretRules
	}{
		{"plain", "canary123", "canary123", "", SecretRules{}},
		{"white space around", "\r\n\t canary123 \r\n", "canary123", "", SecretRules{}},
		{"byte order mark", "\ufeffcanary123\r\n", "canary123", "", SecretRules{}},
		{"password", "\ufeff pass \"w\u00f6rd\"\n", "pass \"w\u00f6rd\"", "", password},
		{"longest", strings.Repeat("x", maxSecret), strings.Repeat("x", maxSecret), "", SecretRules{}},
		{"too long by white space", "canary" + strings.Repeat("\n", maxSecret), "", "larger than 4096 bytes", SecretRules{}},
		{"blank", " \n\n", "", "is empty", SecretRules{}},
		{"two lines", "canary123\nother", "", `'\n' at position 10`, SecretRules{}},
		{"escape", "canary\x1b[2J", "", `'\x1b' at position 7`, SecretRules{}},
		{"quotes", "\"canary\"\n", "", `'"' at position 1`, SecretRules{}},
		{"zero-width space", "canary\u200b", "", `'\u200b' at position 7`, SecretRules{}},
		{"password of two lines", "canary123\nother", "", "more than one line", password},
		{"password with an escape", "canary\x1b[2J", "", "control character", password},
	} {
		got, err := ReadSecret(put(t, t.TempDir()+"/s", c.text, 0o600), c.rules)
		switch {
		case c.reason == "" && (err != nil || got.Reveal() != c.want):
			t.Errorf("%s: got %q, %v", c.name, got.Reveal(), err)
		case c.reason != "":
			wantError(t, err, c.reason, "")
			if strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("%s: the content is in %q", c.name, err)
			}
		}
	}
}

// The checks of owner and mode, for owners that a test cannot create.
func TestOwnerAndMode(t *testing.T) {
	const me, other = 1000, 1001
	dir := func(m meta, path string, uid int) error { return m.checkPrivate(path, uid, "700") }
	for _, c := range []struct {
		name        string
		check       func(meta, string, int) error
		m           meta
		uid         int
		reason, fix string // empty if accepted
	}{
		{name: "ours", check: meta.checkSecret, m: meta{mode: 0o600, owner: me}, uid: me},
		{name: "ours, group may read", check: meta.checkSecret, m: meta{mode: 0o640, owner: me}, uid: me, reason: "accessible by others (mode 0640)", fix: "chmod 600 /f"},
		{name: "ours, others may execute", check: meta.checkSecret, m: meta{mode: 0o601, owner: me}, uid: me, reason: "mode 0601", fix: "chmod 600 /f"},
		{name: "root's, readable", check: meta.checkSecret, m: meta{mode: 0o644, owner: 0}, uid: me},
		{name: "root's, writable by others", check: meta.checkSecret, m: meta{mode: 0o646, owner: 0}, uid: me, reason: "writable by others (mode 0646)", fix: "sudo chmod go-w /f"},
		{name: "root's, writable by group", check: meta.checkSecret, m: meta{mode: 0o660, owner: 0}, uid: me, reason: "writable by others (mode 0660)", fix: "sudo chmod go-w /f"},
		{name: "root's for root", check: meta.checkSecret, m: meta{mode: 0o644, owner: 0}, uid: 0},
		{name: "root's for root, writable by others", check: meta.checkSecret, m: meta{mode: 0o666, owner: 0}, uid: 0, reason: "mode 0666", fix: "chmod 600 /f"},
		{name: "another's", check: meta.checkSecret, m: meta{mode: 0o600, owner: other}, uid: me, reason: "belongs to uid 1001, not to uid 1000", fix: "sudo chown 1000 /f"},
		{name: "another's for root", check: meta.checkSecret, m: meta{mode: 0o600, owner: other}, uid: 0, reason: "belongs to uid 1001, not to uid 0", fix: "chown 0 /f"},
		{name: "Windows, ours", check: meta.checkSecret, m: meta{mode: 0o600, owner: -1}, uid: -1},
		{name: "Windows, another's", check: meta.checkSecret, m: meta{mode: 0o600, owner: -2}, uid: -1, reason: "belongs to another user"},
		{name: "profile, readable", check: meta.checkTrusted, m: meta{mode: 0o644, owner: me}, uid: me},
		{name: "profile of root", check: meta.checkTrusted, m: meta{mode: 0o644, owner: 0}, uid: me},
		{name: "profile of root, writable", check: meta.checkTrusted, m: meta{mode: 0o664, owner: 0}, uid: me, reason: "mode 0664", fix: "sudo chmod go-w /f"},
		{name: "profile of another", check: meta.checkTrusted, m: meta{mode: 0o600, owner: other}, uid: me, reason: "uid 1001", fix: "sudo chown 1000 /f"},
		{name: "private, root's", check: dir, m: meta{mode: 0o700, owner: 0}, uid: me, reason: "belongs to uid 0", fix: "sudo chown 1000 /f"},
		{name: "private, open", check: dir, m: meta{mode: 0o750, owner: me}, uid: me, reason: "mode 0750", fix: "chmod 700 /f"},
	} {
		err := c.check(c.m, "/f", c.uid)
		switch {
		case c.reason == "" && err != nil:
			t.Errorf("%s: got %v", c.name, err)
		case c.reason != "":
			wantError(t, err, c.reason, c.fix)
		}
	}
}

// ReadSecret, ReadProfile and OpenRegular reject what is not a regular file, without
// blocking, and follow links; the first two check owner and mode.
func TestReaders(t *testing.T) {
	d := t.TempDir()
	must(t, unix.Mkfifo(d+"/fifo", 0o600), os.Symlink("file", d+"/link"))
	put(t, d+"/file", "text", 0o600)
	put(t, d+"/wide", "text", 0o602)
	put(t, d+"/given", "x", 0o600)
	given := giveAway(t, d+"/given")
	open := func(path string) error {
		f, err := OpenRegular(path, os.O_WRONLY|os.O_APPEND)
		_ = f.Close()
		return err
	}
	for name, read := range map[string]func(path string) error{
		"secret":  func(path string) error { _, err := ReadSecret(path, SecretRules{}); return err },
		"profile": func(path string) error { _, err := ReadProfile(path); return err },
		"open":    open,
	} {
		t.Run(name, func(t *testing.T) {
			must(t, read(d+"/file"), read(d+"/link"))
			err := read(d + "/none")
			if wantError(t, err, "no such file", ""); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is not fs.ErrNotExist", err)
			}
			doesNotBlock(t, func() { wantError(t, read(d+"/fifo"), "is a pipe, not a regular file", "") })
			wantError(t, read("/dev/null"), "is a device, not a regular file", "")
			wantError(t, read(d), "is a directory, not a regular file", "")
			if name == "open" {
				return
			}
			if err := read(d + "/wide"); err == nil || !strings.Contains(err.Error(), "by others (mode 0602)") {
				t.Errorf("got %v for a file that others can write", err)
			}
			if given {
				wantError(t, read(d+"/given"), "belongs to uid 12345, not to uid 0", "chown 0 "+d+"/given")
			}
		})
	}
	if data, err := ReadProfile(put(t, d+"/readable", strings.Repeat("x", maxProfile), 0o644)); err != nil || len(data) != maxProfile {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	_, err := ReadProfile(put(t, d+"/large", strings.Repeat("x", maxProfile+1), 0o600))
	wantError(t, err, "larger than 1048576 bytes", "")
}

// A kubelet's layout of secrets, and systemd's credentials.
func TestReadSecret_Links(t *testing.T) {
	d := t.TempDir()
	private := put(t, d+"/..2026/it's good", "canary", 0o600)
	cred := put(t, d+"/cred/s", "canary", 0o666)
	outside := put(t, d+"/outside", "canary", 0o666)
	near := put(t, d+"/credential", "canary", 0o666)
	must(t, os.Symlink("..2026", d+"/..data"), os.Symlink("..data/it's good", d+"/good"), os.Symlink("../outside", d+"/cred/link"), os.Symlink("cred", d+"/alias"))
	t.Chdir(d)
	for _, c := range []struct {
		path, credentials string
		ok                bool
	}{
		{private, "", true},
		{d + "/good", "", true},
		{cred, d + "/cred", true},
		{d + "/alias/s", d + "/cred", true},
		{d + "/cred/../cred/s", d + "/alias", true},
		{cred, "", false},
		{outside, d + "/cred", false},
		{near, d + "/cred", false},
		{d + "/cred/link", d + "/cred", false},
		{d + "/cred/../outside", d + "/cred", false},
		{d + "/alias/s", "/", false},
		{"cred/s", "cred", false},
	} {
		s, err := ReadSecret(c.path, SecretRules{CredentialsDir: c.credentials})
		switch {
		case !c.ok:
			wantError(t, err, "mode 0666", "chmod 600 "+c.path)
		case err != nil || s.Reveal() != "canary":
			t.Errorf("%s in %s: got %v", c.path, c.credentials, err)
		}
	}
	_, err := ReadSecret(put(t, d+"/it's bad", "canary", 0o666), SecretRules{})
	wantError(t, err, "mode 0666", `chmod 600 '`+d+`/it'\''s bad'`)
}
