package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

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
		dir := t.TempDir()
		runtime, path := filepath.Join(dir, "run"), filepath.Join(dir, "lakebase", "profiles.ini")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Mkdir(runtime, 0o700), os.Mkdir(filepath.Dir(path), 0o700)); err != nil {
			t.Fatal(err)
		}
		if c.before != "" {
			write(c.before)
		}
		var stderr bytes.Buffer
		code := run(t.Context(), []string{program, "login", "--no-verify", "--store", "file", "--secret-stdin", "-p", "p", "--host", "h.example", "--client-id", "id"},
			[]string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_RUNTIME_DIR=" + runtime, "LAKEBASE_CACHE=off"},
			&hookReader{func() { write(c.edited) }, strings.NewReader("canary-secret")}, io.Discard, &stderr)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, kept := string(text), strings.Replace(c.edited, "host = old.example", "host = https://h.example", 1)
		if code != 0 || !strings.HasPrefix(got, kept) || !strings.Contains(got, "client_id = id\n") || strings.Contains(got, "[a]") != strings.Contains(kept, "[a]") {
			t.Errorf("%s: got exit code %d\n%s%s", c.name, code, &stderr, got)
		}
	}
}

func TestBrowsers(t *testing.T) {
	const at = "https://h/?a=1&b=%2F;`x`"
	for browser, want := range map[string][][]string{
		"":                         nil,
		" : :":                     nil,
		"firefox:chromium -n":      {{"firefox", at}, {"chromium", "-n", at}},
		"open -u %s --x":           {{"open", "-u", at, "--x"}},
		"a --url=%s:sh -c 'b $1'":  {{"a", "--url=" + at}, {"sh", "-c", "'b", "$1'", at}},
		"/opt/a b::/usr/bin/w3m  ": {{"/opt/a", "b", at}, {"/usr/bin/w3m", at}},
	} {
		env := map[string]string{"BROWSER": strings.ReplaceAll(browser, ":", string(filepath.ListSeparator))}
		if d := cmp.Diff(want, browsers("linux", func(name string) string { return env[name] }, at)); d != "" {
			t.Errorf("%q: %s", browser, d)
		}
	}
}

// A pasted refusal ends the wait; the end of standard input and a line that is too long do
// not.
func TestWaitForBrowser_Paste(t *testing.T) {
	for name, c := range map[string]struct {
		input, query string // standard input, or the query of the redirect
		timeout      time.Duration
		want         string
	}{
		"denied":   {"", "error=access_denied", time.Minute, "access_denied"},
		"end":      {"", "", 100 * time.Millisecond, "no login within 100ms"},
		"too long": {strings.Repeat("x", bufio.MaxScanTokenSize+1) + "\n", "", 100 * time.Millisecond, "no login within 100ms"},
	} {
		login := auth.NewLogin(config.Config{}, nil, nil)
		server, err := login.Listen(20000, 60000)
		if err != nil {
			t.Fatal(err)
		}
		if c.query != "" {
			c.input = server.RedirectURI() + "/?" + c.query + "&state=" + login.State + "\n"
		}
		i := &invocation{Environment: cli.NewEnvironment(program, nil, nil, strings.NewReader(c.input), io.Discard, io.Discard),
			log: cli.NewLogger(program, io.Discard, config.LogNormal, false), given: options{"no-browser": {"true"}}}
		_, err = i.waitForBrowser(t.Context(), server, "https://w.example/authorize", c.timeout)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %s", name, err, c.want)
		}
		server.Close()
	}
}
