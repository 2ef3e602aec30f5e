package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
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
	if len(p.Args) != 2 || len(p.Environ) != 8 {
		t.Errorf("%q %q", p.Args, p.Environ)
	}
	if p := NewEnvironment("prog", nil, nil, nil, nil, nil); p.Args != nil || p.Env("A") != "" {
		t.Error("a process without arguments")
	}
	if Terminal(p.Stdin) || Terminal(p.Stdout) || Terminal(nil) {
		t.Error("a buffer is taken for a terminal")
	}
}

// A tool is not looked for in relative directories of PATH.
func TestToolSearch_AbsoluteOnly(t *testing.T) {
	list := func(dirs ...string) string { return strings.Join(dirs, string(filepath.ListSeparator)) }
	root := filepath.Join(t.TempDir(), "bin")
	for path, want := range map[string]string{list(".", root, "", "bin"): root, list(root, root+"2"): list(root, root+"2")} {
		if got := newEnvironment("PATH=" + path).ToolSearch(); got.Path != want || !got.PathSet {
			t.Errorf("%q: %+v", path, got)
		}
	}
	for _, path := range []string{".", list("", "")} { // what is left is no empty PATH, which is the working directory
		if got := newEnvironment("PATH=" + path).ToolSearch(); got.PathSet || newEnvironment("PATH="+path).Search().Path != path {
			t.Errorf("%q: %+v", path, got)
		}
	}
}

func TestSanitizeProcess(t *testing.T) {
	for name, v := range map[string]string{"PGSERVICE": "x", "PGPASSWORD": "y", "OTHER_FOR_TEST": "z", "DBUS_SESSION_BUS_ADDRESS": os.Getenv("DBUS_SESSION_BUS_ADDRESS")} {
		t.Setenv(name, v)
	}
	newEnvironment("PGSERVICE=x", "PGPASSWORD=y", "OTHER_FOR_TEST=z").SanitizeProcess()
	if _, ok := os.LookupEnv("PGSERVICE"); ok || os.Getenv("PGPASSWORD") != "" || os.Getenv("OTHER_FOR_TEST") != "z" {
		t.Error("the process keeps PG variables, or loses others")
	}
}

func TestPaths(t *testing.T) {
	if runtime.GOOS == "windows" {
		p := newEnvironment(`APPDATA=C:\r`, `LOCALAPPDATA=C:\l`)
		if p.ProfilesPath() != `C:\r\lakebase\profiles.ini` || p.cacheDir() != `C:\l` {
			t.Error(p.ProfilesPath(), p.cacheDir())
		}
		return
	}
	cacheOf := func(linux, darwin string) string {
		return map[bool]string{true: darwin, false: linux}[runtime.GOOS == "darwin"]
	}
	for _, c := range []struct {
		environ         []string
		profiles, cache string
	}{
		{[]string{"HOME=/h"}, "/h/.config/lakebase/profiles.ini", cacheOf("/h/.cache", "/h/Library/Caches")},
		{[]string{"HOME=/h", "XDG_CONFIG_HOME=/c", "XDG_CACHE_HOME=/k"}, "/c/lakebase/profiles.ini", cacheOf("/k", "/h/Library/Caches")},
		{[]string{"HOME=/h", "XDG_CONFIG_HOME=rel", "XDG_CACHE_HOME=rel"}, "/h/.config/lakebase/profiles.ini", cacheOf("/h/.cache", "/h/Library/Caches")},
		{[]string{"HOME=/h", "XDG_CONFIG_HOME="}, "/h/.config/lakebase/profiles.ini", cacheOf("/h/.cache", "/h/Library/Caches")},
		{[]string{"HOME=/h", "LAKEBASE_CONFIG_FILE=f.ini"}, "f.ini", cacheOf("/h/.cache", "/h/Library/Caches")},
		{[]string{"HOME=rel"}, "/rel/.config/lakebase/profiles.ini", ""},
	} {
		p := newEnvironment(c.environ...)
		if p.ProfilesPath() != c.profiles || p.cacheDir() != c.cache {
			t.Errorf("%v: %s, %s", c.environ, p.ProfilesPath(), p.cacheDir())
		}
	}
	if h := newEnvironment().Home(); h == "" || !filepath.IsAbs(newEnvironment().ProfilesPath()) {
		t.Errorf("without HOME: %q, %q", h, newEnvironment().ProfilesPath())
	}
}

func TestProfiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.ini")
	p := newEnvironment("LAKEBASE_CONFIG_FILE=" + path)
	if got, err := p.Profiles(); got != nil || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("[prod]\nhost = h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Profiles(); err != nil || !got.Has("prod") {
		t.Errorf("%v, %v", got, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Profiles(); ExitCode(err) != ExitUsage {
		t.Errorf("a file that others can write: %v", err)
	}
}

func TestResolve_KeychainTimeout(t *testing.T) {
	c, err := newEnvironment().Resolve(nil, func(in *config.Input) error { in.NoTarget = true; return nil })
	if err != nil || c.KeychainTimeout.Value != 5*time.Second {
		t.Errorf("off a terminal: %v, %v", c.KeychainTimeout, err)
	}
	c, err = newEnvironment("LAKEBASE_KEYCHAIN_TIMEOUT=7s").Resolve(nil, func(in *config.Input) error { in.NoTarget = true; return nil })
	if err != nil || c.KeychainTimeout.Value != 7*time.Second {
		t.Errorf("as it was told: %v, %v", c.KeychainTimeout, err)
	}
}
