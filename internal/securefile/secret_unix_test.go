//go:build unix

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

// put writes a file with exactly this mode.
func put(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// give makes a file somebody else's, which only root can do, and says whether it
// did.
func give(t *testing.T, path string) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	return true
}

// wantError asks for an *Error whose reason holds reason, and for the fix.
func wantError(t *testing.T, err error, reason, fix string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Reason, reason) || e.Fix != fix {
		t.Errorf("got %T %v (%+v), want reason %q and fix %q", err, err, e, reason, fix)
	}
}

// within fails the test if do blocks.
func within(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it blocks")
	}
}

func TestReadSecretText(t *testing.T) {
	for _, c := range []struct{ name, text, want, reason string }{
		{"plain", "dose123", "dose123", ""},
		{"newline", "dose123\n", "dose123", ""},
		{"blanks around", "\r\n\t dose 123 \r\n", "dose 123", ""},
		{"the most", strings.Repeat("x", MaxSecret), strings.Repeat("x", MaxSecret), ""},
		{"too large", strings.Repeat("x", MaxSecret+1), "", "larger than 4096 bytes"},
		{"too large by blanks", "dose" + strings.Repeat("\n", MaxSecret), "", "larger than 4096 bytes"},
		{"empty", "", "", "it is empty"},
		{"blank", " \n\n", "", "it is empty"},
		{"two lines", "dose123\nother", "", "more than one line"},
		{"NUL", "dose\x00123", "", "control character"},
		{"escape", "dose\x1b[2J", "", "control character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadSecret(put(t, t.TempDir()+"/s", c.text, 0o600), SecretRules{})
			if c.reason != "" {
				wantError(t, err, c.reason, "")
				if strings.Contains(err.Error(), "dose") {
					t.Errorf("the text stands in %q", err)
				}
			} else if err != nil || got.Reveal() != c.want {
				t.Errorf("%q %v", got.Reveal(), err)
			}
		})
	}
}

// TestSecretRefusal is the rule itself, for owners that a test cannot all have.
func TestSecretRefusal(t *testing.T) {
	const me, other = 1000, 1001
	for _, c := range []struct {
		name        string
		m           meta
		uid         int
		reason, fix string // "" if it is taken
	}{
		{name: "ours", m: meta{mode: 0o600, owner: me}, uid: me},
		{name: "ours, read only", m: meta{mode: 0o400, owner: me}, uid: me},
		{name: "ours, group may read", m: meta{mode: 0o640, owner: me}, uid: me, reason: "mode 0640", fix: "chmod 600 /s"},
		{name: "ours, others may read", m: meta{mode: 0o604, owner: me}, uid: me, reason: "mode 0604", fix: "chmod 600 /s"},
		{name: "ours, others may run", m: meta{mode: 0o601, owner: me}, uid: me, reason: "mode 0601", fix: "chmod 600 /s"},
		{name: "root's, readable", m: meta{mode: 0o644, owner: 0}, uid: me},
		{name: "root's, by group", m: meta{mode: 0o440, owner: 0}, uid: me},
		{name: "root's, writable by others", m: meta{mode: 0o646, owner: 0}, uid: me, reason: "others than root may write it (mode 0646)", fix: "sudo chmod go-w /s"},
		{name: "root's, writable by group", m: meta{mode: 0o660, owner: 0}, uid: me, reason: "others than root may write it (mode 0660)", fix: "sudo chmod go-w /s"},
		{name: "root's for root", m: meta{mode: 0o644, owner: 0}, uid: 0},
		{name: "root's for root, writable by others", m: meta{mode: 0o666, owner: 0}, uid: 0, reason: "mode 0666", fix: "chmod 600 /s"},
		{name: "another's", m: meta{mode: 0o600, owner: other}, uid: me, reason: "belongs to uid 1001, and we are 1000", fix: "sudo chown 1000 /s"},
		{name: "another's for root", m: meta{mode: 0o600, owner: other}, uid: 0, reason: "belongs to uid 1001, and we are 0", fix: "chown 0 /s"},
		{name: "another's on a read-only tmpfs", m: meta{mode: 0o644, owner: other, roTmpfs: true}, uid: me},
		{name: "Windows, ours", m: meta{mode: 0o600, owner: -1}, uid: -1},
		{name: "Windows, another's", m: meta{mode: 0o600, owner: -2}, uid: -1, reason: "belongs to somebody else"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := secretRefusal("/s", c.m, c.uid)
			switch {
			case c.reason == "" && e == nil:
			case c.reason == "" || e == nil:
				t.Errorf("got %v", e)
			default:
				wantError(t, e, c.reason, c.fix)
			}
		})
	}
}

func TestReadSecretFile(t *testing.T) {
	d := t.TempDir()
	path := put(t, d+"/open to 'all'", "x", 0o666)
	_, err := ReadSecret(path, SecretRules{})
	wantError(t, err, "mode 0666", `chmod 600 '`+d+`/open to '\''all'\'''`)

	_, err = ReadSecret(d+"/none", SecretRules{})
	if wantError(t, err, "no such file", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
	_, err = ReadSecret(d, SecretRules{})
	wantError(t, err, "it is a directory", "")
	_, err = ReadSecret("/dev/null", SecretRules{})
	wantError(t, err, "it is a device", "")
	if err := unix.Mkfifo(d+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, func() { _, err = ReadSecret(d+"/fifo", SecretRules{}) })
	wantError(t, err, "it is a pipe", "")

	if path := put(t, d+"/given", "x", 0o600); give(t, path) {
		_, err = ReadSecret(path, SecretRules{})
		wantError(t, err, "belongs to uid 12345, and we are 0", "chown 0 "+path)
	}
}

// TestSecretLinks lays files out as a kubelet does.
func TestSecretLinks(t *testing.T) {
	d := t.TempDir()
	put(t, d+"/..2026/good", "dose", 0o600)
	put(t, d+"/..2026/bad", "dose", 0o666)
	for link, target := range map[string]string{"..data": "..2026", "good": "..data/good", "bad": "..data/bad"} {
		if err := os.Symlink(target, filepath.Join(d, link)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := ReadSecret(d+"/good", SecretRules{}); err != nil || s.Reveal() != "dose" {
		t.Errorf("%q %v", s.Reveal(), err)
	}
	_, err := ReadSecret(d+"/bad", SecretRules{})
	wantError(t, err, "mode 0666", "chmod 600 "+d+"/bad")
}

func TestCredentialsDirectory(t *testing.T) {
	d := t.TempDir()
	cred := put(t, d+"/cred/s", "dose", 0o666)
	outside := put(t, d+"/outside", "dose", 0o666)
	near := put(t, d+"/credential", "dose", 0o666)
	if err := os.Symlink(outside, d+"/cred/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("cred", d+"/alias"); err != nil {
		t.Fatal(err)
	}
	for path, dir := range map[string]string{cred: d + "/cred", d + "/alias/s": d + "/cred", d + "/cred/../cred/s": d + "/alias"} {
		if s, err := ReadSecret(path, SecretRules{CredentialsDir: dir}); err != nil || s.Reveal() != "dose" {
			t.Errorf("%s in %s: %v", path, dir, err)
		}
	}
	for path, dir := range map[string]string{cred: "", outside: d + "/cred", near: d + "/cred", d + "/cred/link": d + "/cred", d + "/cred/../outside": d + "/cred", d + "/alias/s": "/"} {
		_, err := ReadSecret(path, SecretRules{CredentialsDir: dir})
		wantError(t, err, "mode 0666", "chmod 600 "+path)
	}
	t.Chdir(d)
	if _, err := ReadSecret("cred/s", SecretRules{CredentialsDir: "cred"}); err == nil {
		t.Error("a relative credentials folder was believed")
	}
}

// A file of the platform's is opened for what it is: to open a pipe, for reading or
// writing, would wait for its other end.
func TestOpenRegular(t *testing.T) {
	d := t.TempDir()
	if err := errors.Join(unix.Mkfifo(d+"/fifo", 0o600), os.WriteFile(d+"/file", []byte("a"), 0o644), os.Symlink("file", d+"/link")); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{os.O_RDONLY, os.O_WRONLY | os.O_APPEND} {
		for path, reason := range map[string]string{"file": "", "link": "", "fifo": "it is a pipe, not a regular file", ".": "it is a directory, not a regular file", "none": "no such file or directory"} {
			var f *os.File
			var err error
			within(t, func() { f, err = OpenRegular(d+"/"+path, flag) })
			if reason == "" && err == nil {
				_ = f.Close()
				continue
			}
			var refused *Error
			if !errors.As(err, &refused) || refused.Reason != reason {
				t.Errorf("%s: %v, want %q", path, err, reason)
			}
		}
	}
}
