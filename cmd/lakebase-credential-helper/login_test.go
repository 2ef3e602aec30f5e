package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// home is a user's directory for logins into files.
type home struct{ dir string }

func newHome(t *testing.T) home {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return home{dir}
}

func (h home) path(name string) string { return filepath.Join(h.dir, name) }

// login runs login with the secret from stdin, without any exchange.
func (h home) login(stdin io.Reader, args ...string) (code int, stderr string) {
	var out, errs bytes.Buffer
	environ := []string{"HOME=" + h.dir, "XDG_CONFIG_HOME=" + h.dir, "XDG_RUNTIME_DIR=" + h.path("run"), "LAKEBASE_CACHE=off"}
	code = run(context.Background(), append([]string{program, "login", "--no-verify", "--store", "file"}, args...), environ, stdin, &out, &errs)
	return code, errs.String()
}

func (h home) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (h home) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const profilesFile = "lakebase/profiles.ini"

// hookReader calls hook when it is first read.
type hookReader struct {
	hook func()
	io.Reader
}

func (r *hookReader) Read(p []byte) (int, error) {
	if r.hook != nil {
		r.hook()
		r.hook = nil
	}
	return r.Reader.Read(p)
}

// Changes to the profiles file while login waits for the secret are kept.
func TestLogin_EditedWhileWaiting(t *testing.T) {
	for _, c := range []struct{ name, before, edited string }{
		{"new file", "", "# by an editor\n[other]\nhost = o.example\n"},
		{"another profile", "[a]\nhost = a.example\n", "[a]\nhost = a.example\n\n[b]\nhost = b.example ; added\n"},
		{"own profile", "[p]\nhost = old.example\ndatabase = d\n", "[p]\nhost = old.example\ndatabase = changed\n"},
		{"profile removed", "[a]\nhost = a.example\n\n[z]\nhost = z.example\n", "[z]\nhost = z.example\n"},
	} {
		h := newHome(t)
		if c.before != "" {
			h.write(t, profilesFile, c.before)
		}
		stdin := &hookReader{func() { h.write(t, profilesFile, c.edited) }, strings.NewReader("canary-secret")}
		code, stderr := h.login(stdin, "--secret-stdin", "-p", "p", "--host", "h.example", "--client-id", "id")
		text := h.read(t, profilesFile)
		kept := strings.Replace(c.edited, "host = old.example", "host = https://h.example", 1)
		if code != 0 || !strings.HasPrefix(text, kept) || !strings.Contains(text, "client_id = id\n") || strings.Contains(text, "[a]") != strings.Contains(kept, "[a]") {
			t.Errorf("%s: got exit code %d\n%s%s", c.name, code, stderr, text)
		}
	}
}
