package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

func userFixture(t *testing.T, l *emulator.Lakebase) *fixture {
	t.Helper()
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	for _, name := range []string{"DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "PGUSER"} {
		delete(p.env, name)
	}
	return p
}

// browserIs puts a script into $BROWSER. $1 is the address.
func (p *fixture) browserIs(script string) {
	p.t.Helper()
	path := filepath.Join(p.home, "browser")
	must(p.t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	p.set("BROWSER=" + path)
}

const curlBrowser = `exec curl -sS -L -o /dev/null --cacert "$LAKEBASE_CACERT" "$1&approve=1"`

// approved approves the request at the address and returns the redirect's URL.
func approved(t *testing.T, p *fixture, address string) string {
	t.Helper()
	pem, err := os.ReadFile(p.env["LAKEBASE_CACERT"])
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{
		Timeout: runLimit, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := client.Get(address + "&approve=1")
	must(t, err)
	defer r.Body.Close()
	if r.StatusCode != http.StatusFound {
		t.Fatalf("the workspace answers %s", r.Status)
	}
	return r.Header.Get("Location")
}

var authorizeAddress = regexp.MustCompile(`https://localhost:\d+/\S+`)

// On a terminal the address is shown, a URL may be pasted although a browser was opened,
// and one line names the user.
func TestUserLogin_Terminal(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := userFixture(t, l)
	p.set("LAKEBASE_WAIT=never")
	p.browserIs(curlBrowser)
	argv := []string{"lakebase-credential-helper", "login", "--user-login"}
	s := startOnTerminal(p, argv...)
	if status := s.end(); status != 0 {
		t.Fatalf("%s: %q", exitStatus(status), s.output())
	}
	done := regexp.MustCompile(`lakebase-credential-helper: signed in as ada@example\.com at localhost:\d+; stored the login in the keychain\r\n$`)
	if !done.MatchString(s.output()) || !authorizeAddress.MatchString(s.output()) {
		t.Errorf("shown: %q", s.output())
	}

	p.browserIs("echo $$ >" + p.home + "/pid; exec sleep 600")
	s = startOnTerminal(p, argv...)
	eventually(t, "the address is shown, and the browser started",
		func() bool { return strings.Contains(s.output(), "press Enter") && readPid(p) > 1 })
	s.typeText("hello\r")
	eventually(t, "it is said that this is none", func() bool { return strings.Contains(s.output(), "still waiting for the login") })
	s.typeText(approved(t, p, authorizeAddress.FindString(s.output())) + "\r")
	if status := s.end(); status != 0 || !done.MatchString(s.output()) {
		t.Errorf("%s: %q", exitStatus(status), s.output())
	}
	endPid(t, p)

	s = startOnTerminal(p, argv...)
	eventually(t, "the browser is started again", func() bool { return readPid(p) > 1 })
	s.typeText("\x03")
	if status := s.end(); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("Ctrl-C: %s", exitStatus(status))
	}
	endPid(t, p) // the browser is the person's, and is left alone
}

// readPid returns the process ID that the browser's script has written; 0 for none yet.
func readPid(p *fixture) (pid int) {
	text, _ := os.ReadFile(filepath.Join(p.home, "pid"))
	_, _ = fmt.Sscan(string(text), &pid)
	return pid
}

func endPid(t *testing.T, p *fixture) {
	t.Helper()
	pid := readPid(p)
	if pid < 2 {
		t.Fatal("no browser was started")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the browser was ended: %v", err)
	}
	_ = os.Remove(filepath.Join(p.home, "pid"))
}

// Of any number of processes that start with an expired access token, one exchanges the
// refresh token, which the server accepts once; none loses its login.
func TestUserLogin_ColdStartsAtOnce(t *testing.T) {
	t.Parallel()
	const starts = 50
	l := startLakebase(t, emulator.Options{Settings: emulator.Settings{RefreshRotates: true, RefreshReuseRevokes: true,
		WorkspaceTokenLife: 4 * time.Second}})
	p := userFixture(t, l)
	p.browserIs(curlBrowser)
	p.do("lakebase-credential-helper", "login", "--user-login", "--no-verify").wantExit(0)
	time.Sleep(4 * time.Second) // until the access token has ended
	l.Set(func(s *emulator.Settings) { s.WorkspaceTokenLife, s.Latency = 0, 100*time.Millisecond })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Resume(ctx); err != nil { // 50 of them would wait for it
		t.Fatal(err)
	}
	l.ResetCounters()
	runs := make([]*running, starts)
	for i := range runs {
		argv := []string{"lakebase-exec", "--", "psql", "-XAtc", "select current_user"}
		if i%2 == 1 { // for another token, so that it is not the cache of that alone
			argv = []string{"lakebase-exec", "--ttl", "20m", "--", "psql", "-XAtc", "select current_user"}
		}
		if i%5 == 4 {
			argv = []string{"sh", "-c", "lakebase-credential-helper get --format password >token && test -s token && rm token && echo ada@example.com"}
		}
		cmd := p.command(argv...)
		cmd.Dir = t.TempDir()
		runs[i] = p.start(cmd)
	}
	var all sync.WaitGroup
	outcomes := make([]*result, starts)
	for i, r := range runs {
		all.Go(func() { outcomes[i] = r.wait() })
	}
	all.Wait()
	for _, o := range outcomes {
		if o.wantExit(0); o.stdout != "ada@example.com\n" {
			t.Errorf("%v: %q", o.argv, o.stdout)
		}
	}
	n := l.Counters()
	if n.Granted[emulator.GrantRefresh] != 1 || n.Refused[emulator.GrantRefresh] != 0 || n.ByCall[emulator.CallCredentials] != 2 {
		t.Errorf("%d starts made %d refreshes, %d refused ones and %d credentials", starts, n.Granted[emulator.GrantRefresh],
			n.Refused[emulator.GrantRefresh], n.ByCall[emulator.CallCredentials])
	}
	// The next one goes by what that refresh has left, and with no cache it renews.
	p.do("lakebase-exec", "--cache", "off", "--", "true").wantExit(0)
	if n := l.Counters(); n.Granted[emulator.GrantRefresh] != 2 || n.Refused[emulator.GrantRefresh] != 0 {
		t.Errorf("then %d refreshes, %d refused", n.Granted[emulator.GrantRefresh], n.Refused[emulator.GrantRefresh])
	}
}

// A user signs in with a real browser that the login starts: it follows the redirect and
// shows our page. The database session is then that user's.
func TestUserLogin_Chromium(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := userFixture(t, l)
	program, err := exec.LookPath("chromium")
	if err != nil {
		program = client(t, "chromium-browser")
	}
	// It trusts this Lakebase's certificate by its key, and approves as the button does.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(p.env["DATABRICKS_HOST"], "https://"), &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	key := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	_ = conn.Close()
	// The script has the address in its own command line, and runs until that has been seen.
	p.browserIs(program + ` --headless --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage --no-proxy-server --user-data-dir=` +
		filepath.Join(p.home, "chromium") + ` --ignore-certificate-errors-spki-list=` + base64.StdEncoding.EncodeToString(key[:]) + ` --dump-dom "$1&approve=1" >"$HOME/page.new"; mv "$HOME/page.new" "$HOME/page"; until [ -e "$HOME/seen" ]; do sleep 0.1; done`)
	cmd := p.command("lakebase-credential-helper", "login", "-p", "me", "--user-login")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	login := p.start(cmd)
	page, addresses := "", 0
	eventually(t, "our page is shown, and the address was seen", func() bool {
		// All that everybody on the machine can see of the login is its address, and
		// nothing of the redirect.
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, f := range files {
			line, _ := os.ReadFile(f)
			// The browser puts its words into one, with blanks between them.
			for _, word := range strings.FieldsFunc(string(line), func(r rune) bool { return r == 0 || r == ' ' }) {
				if strings.HasPrefix(word, p.env["DATABRICKS_HOST"]+"/oidc/v1/authorize?") {
					addresses++
				} else if strings.Contains(word, "localhost:80") && strings.Contains(word, "code=") || leakIn(l, word) != "" {
					t.Errorf("a command line has %q", word)
				}
			}
		}
		data, _ := os.ReadFile(filepath.Join(p.home, "page"))
		page = string(data)
		return strings.Contains(page, "</html>") && addresses > 0
	})
	write(t, filepath.Join(p.home, "seen"), "")
	if !strings.Contains(page, "The browser's part of the login is done") {
		t.Errorf("the browser shows %q", page)
	}
	if o := login.wait().wantExit(0); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q", o.stdout+o.stderr)
	}
	wantOutput(t, "psql", p.do("lakebase-exec", "-p", "me", "--", "psql", "-XAtc", "select current_user").wantExit(0).stdout, "ada@example.com\n")
}
