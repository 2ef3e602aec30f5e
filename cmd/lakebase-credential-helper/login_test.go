package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
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

func TestParseBrowser(t *testing.T) {
	const at = "https://h/?a=1&b=%2F;`x`"
	for browser, want := range map[string][][]string{
		"":                         nil,
		" : :":                     nil,
		"firefox:chromium -n":      {{"firefox", at}, {"chromium", "-n", at}},
		"open -u %s --x":           {{"open", "-u", at, "--x"}},
		"a --url=%s:sh -c 'b $1'":  {{"a", "--url=" + at}, {"sh", "-c", "'b", "$1'", at}},
		"/opt/a b::/usr/bin/w3m  ": {{"/opt/a", "b", at}, {"/usr/bin/w3m", at}},
	} {
		if d := cmp.Diff(want, parseBrowser(browser, at, ":")); d != "" {
			t.Errorf("%q: %s", browser, d)
		}
	}
	if d := cmp.Diff([][]string{{`C:\b.exe`, at}, {"c", at}}, parseBrowser(`C:\b.exe;c`, at, ";")); d != "" {
		t.Error(d)
	}
}

// waitForPaste waits for a login with --no-browser; input makes standard input from the
// redirect's address and state.
func waitForPaste(t *testing.T, timeout time.Duration, input func(address, state string) string) (code, stderr string, err error) {
	t.Helper()
	login := auth.NewLogin()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	server, err := login.ListenPorts(port, port)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var out bytes.Buffer
	var errs lockedBuffer
	c := &invocation{Environment: cli.NewEnvironment(program, nil, nil, strings.NewReader(input(server.RedirectURI(), login.State)), &out, &errs),
		log: cli.NewLogger(program, &errs, config.LogNormal, false), given: options{"no-browser": {"true"}}}
	redirect, err := c.waitForBrowser(context.Background(), server, "https://w.example/authorize", timeout)
	return redirect.Reveal(), errs.String(), err
}

// lockedBuffer is a buffer that goroutines which outlive the call may write to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestWaitForBrowser_Paste(t *testing.T) {
	code, stderr, err := waitForPaste(t, time.Minute, func(address, state string) string {
		return "\nhello\n" + address + "/?" + url.Values{"code": {"code-of-this-login"}, "state": {state}}.Encode() + "\nlate\n"
	})
	if err != nil || code != "code-of-this-login" || strings.Count(stderr, "https://w.example/authorize") != 1 || strings.Count(stderr, "still waiting for the login") != 1 {
		t.Errorf("got code %q, error %v\n%s", code, err, stderr)
	}
	_, _, err = waitForPaste(t, time.Minute, func(address, state string) string { return address + "/?error=access_denied&state=" + state + "\n" })
	if !errors.As(err, new(*auth.DeniedError)) || cli.ExitCode(err) != cli.ExitWorkspace {
		t.Errorf("denied: got error %v", err)
	}
	// Neither the end of standard input nor a line that is too long ends the wait.
	for _, input := range []string{"", strings.Repeat("x", maxPastedLine+1) + "\n"} {
		_, stderr, err = waitForPaste(t, 100*time.Millisecond, func(string, string) string { return input })
		var late *auth.SourceError
		if !errors.As(err, &late) || late.Problem != "no login within 100ms" || late.Fix == "" || strings.Contains(stderr, "too long") != (input != "") {
			t.Errorf("got error %v\n%s", err, stderr)
		}
	}
}
