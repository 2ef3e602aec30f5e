package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func newEnvironment(environ ...string) *Environment {
	return NewEnvironment("prog", []string{"prog", "a", "b"}, environ, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})
}

func TestNewEnvironment(t *testing.T) {
	p := newEnvironment("A=first", "A=second", "B=", "B=late", "C=x=y", "=C:=C:\\", "noequals", "LAKEBASE_WAIT=never")
	for name, want := range map[string]string{"A": "first", "B": "", "C": "x=y", "D": "", "": "", "noequals": "", "LAKEBASE_WAIT": "never"} {
		if got := p.Env(name); got != want {
			t.Errorf("%s is %q, and not %q", name, got, want)
		}
	}
	if len(p.Args) != 2 || len(p.Environ) != 8 || Terminal(p.Stdin) || Terminal(nil) {
		t.Errorf("got %q, %q, want 2 arguments, 8 variables and no terminal", p.Args, p.Environ)
	}
}

// A tool is not looked for in relative directories of PATH.
func TestToolPath_AbsoluteOnly(t *testing.T) {
	list := func(dirs ...string) string { return strings.Join(dirs, string(filepath.ListSeparator)) }
	root := filepath.Join(t.TempDir(), "bin")
	for path, want := range map[string]string{list(".", root, "", "bin"): root, list(root, root+"2"): list(root, root+"2"),
		".": process.DefaultPath, list("", ""): process.DefaultPath} { // an empty PATH is the working directory
		if e := newEnvironment("PATH=" + path); e.ToolPath() != want || e.SearchPath() != path {
			t.Errorf("%q: got tool path %q, search path %q; want %q", path, e.ToolPath(), e.SearchPath(), want)
		}
	}
}

func TestSanitizeProcess(t *testing.T) {
	for name, v := range map[string]string{"PGSERVICE": "x", "PGPASSWORD": "y", "OTHER_FOR_TEST": "z", envBus: os.Getenv(envBus)} {
		t.Setenv(name, v)
	}
	newEnvironment("PGSERVICE=x", "PGPASSWORD=y", "OTHER_FOR_TEST=z").sanitizeProcess()
	if _, ok := os.LookupEnv("PGSERVICE"); ok || os.Getenv("PGPASSWORD") != "" || os.Getenv("OTHER_FOR_TEST") != "z" {
		t.Error("the process keeps PG variables, or loses others")
	}
}

func TestProfilesPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		if got := newEnvironment(`APPDATA=C:\r`).ProfilesPath(); got != `C:\r\lakebase\profiles.ini` {
			t.Error(got)
		}
		return
	}
	for environ, want := range map[string]string{
		"HOME=/h":                     "/h/.config/lakebase/profiles.ini",
		"HOME=/h XDG_CONFIG_HOME=/c":  "/c/lakebase/profiles.ini",
		"HOME=/h XDG_CONFIG_HOME=rel": "/h/.config/lakebase/profiles.ini",
		"HOME=/h XDG_CONFIG_HOME=":    "/h/.config/lakebase/profiles.ini",
		"LAKEBASE_CONFIG_FILE=f.ini":  "f.ini",
		"HOME=rel":                    "/rel/.config/lakebase/profiles.ini",
	} {
		if got := newEnvironment(strings.Fields(environ)...).ProfilesPath(); got != want {
			t.Errorf("%s: got %s, want %s", environ, got, want)
		}
	}
	if got := newEnvironment().ProfilesPath(); !filepath.IsAbs(got) {
		t.Errorf("without HOME: got %s, want an absolute path", got)
	}
}

func TestProfiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.ini")
	p := newEnvironment("LAKEBASE_CONFIG_FILE=" + path)
	if got, err := p.Profiles(); err != nil || len(got.Names()) != 0 {
		t.Errorf("no file: %v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("[prod]\nhost = h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Profiles(); err != nil || !got.Has("prod") {
		t.Errorf("%v, %v", got, err)
	}
	_, err := newEnvironment("LAKEBASE_CONFIG_FILE=" + filepath.Dir(path)).Profiles()
	if _, hint := Describe(err, config.Config{}); ExitCode(err) != ExitUsage || !strings.HasPrefix(hint, "check ") {
		t.Errorf("a directory: got %v, hint %q", err, hint)
	}
}

func TestResolve_KeychainTimeout(t *testing.T) {
	for environ, want := range map[string]time.Duration{"": 5 * time.Second, "LAKEBASE_KEYCHAIN_TIMEOUT=7s": 7 * time.Second} {
		c, err := newEnvironment(environ).Resolve(nil, func(in *config.Input) error { in.NoTarget = true; return nil })
		if err != nil || c.KeychainTimeout.Value != want {
			t.Errorf("%q off a terminal: got %v, %v, want %v", environ, c.KeychainTimeout, err, want)
		}
	}
}

// A token that a store cannot keep is one warning, except for get, which has no progress.
func TestCacheFailed_Warns(t *testing.T) {
	for _, c := range []struct {
		err   error
		get   bool
		warns int
	}{
		{&keychain.Error{Err: keychain.ErrTooBig}, false, 1}, {fmt.Errorf("x: %w", tokencache.ErrQuota), false, 1},
		{tokencache.ErrQuota, true, 0}, {errors.New("no such file"), false, 0}, {&keychain.Error{Err: keychain.ErrLocked}, false, 0},
	} {
		var out bytes.Buffer
		log := NewLogger("p", &out, config.LogNormal, false)
		o := &observer{log: log, progress: newProgress(log, false)}
		if c.get {
			o.progress = nil
		}
		for range 3 {
			o.CacheFailed("storing the token", c.err)
		}
		if n := strings.Count(out.String(), "p: warning: the token cannot be cached, so that each start signs in again: "); n != c.warns {
			t.Errorf("%v: got %d warnings, want %d: %s", c.err, n, c.warns, out.String())
		}
	}
}

// brokenStore lists tokens whose items cannot be read, for the errors given by ID.
type brokenStore struct {
	errs    map[string]error
	deleted []string
}

func (s *brokenStore) Get(_ context.Context, id string) (credential.Secret, error) {
	return credential.Secret{}, s.errs[id]
}

func (s *brokenStore) Set(context.Context, string, credential.Secret, time.Time) error { return nil }

func (s *brokenStore) Delete(_ context.Context, ids ...string) error {
	s.deleted = append(s.deleted, ids...)
	return nil
}

func (s *brokenStore) List(context.Context) ([]string, error) {
	return []string{"locked", "missing"}, nil
}

// A logout deletes the entry of a token whose process was killed before it was stored.
// One that cannot be read may belong to another target.
func TestForget_MissingItem(t *testing.T) {
	s := &brokenStore{errs: map[string]error{"missing": &keychain.Error{Err: keychain.ErrNotFound}, "locked": &keychain.Error{Err: keychain.ErrLocked}}}
	err := forget(t.Context(), s, func(tokencache.Description) bool { return true })
	if want := []string{"missing"}; err != nil || !slices.Equal(s.deleted, want) {
		t.Errorf("got %q deleted (%v), want %q", s.deleted, err, want)
	}
}
