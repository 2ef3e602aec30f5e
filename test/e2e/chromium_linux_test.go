package e2e

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// A user signs in with a real browser that the login starts: the page opens, Allow is
// clicked, the browser follows the redirect and shows our page. The database session is
// then that user's.
func TestUserLogin_Chromium(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := userFixture(t, l)
	c := newChromium(t, p)
	login := p.start(p.command("lakebase-credential-helper", "login", "-p", "me", "--user-login"))
	c.attach()
	c.eventually("the workspace asks", `document.getElementById("user").textContent`, "ada@example.com")
	seen := c.commandLines()
	c.eval(`document.getElementById("allow").click()`)
	c.eventually("our page is shown", `document.body.textContent.includes("The browser's part of the login is done")`, true)
	at, _ := c.eval(`location.href`).(string)
	back, err := url.Parse(at)
	if err != nil || back.Hostname() != "localhost" || back.Query().Get("code") == "" || back.Query().Get("state") == "" {
		t.Errorf("the browser is at %q", at)
	}
	if o := login.wait().wantExit(0); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q", o.stdout+o.stderr)
	}
	if o := p.do("lakebase-exec", "-p", "me", "--", "psql", "-XAtc", "select current_user").wantExit(0); o.stdout != "ada@example.com\n" {
		t.Errorf("psql is %q", o.stdout)
	}
	// All that everybody on the machine could see of the login is its address.
	state, code := back.Query().Get("state"), back.Query().Get("code")
	addresses := 0
	for _, line := range append(seen, c.commandLines()...) {
		// The browser puts its words into one, with blanks between them.
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == 0 || r == ' ' }) {
			if strings.Contains(word, state) {
				addresses++
				if !strings.HasPrefix(word, p.env["DATABRICKS_HOST"]+"/oidc/v1/authorize?") {
					t.Errorf("a command line has %q", word)
				}
			}
		}
		// The lines are those of the whole machine, so a single word is no evidence.
		if strings.Contains(line, code) || leakIn(l, line) != "" {
			t.Errorf("a command line holds a secret: %q", line)
		}
	}
	if addresses == 0 {
		t.Error("no command line of the browser was looked at")
	}
}

// chromium is a browser without a window, steered over a pipe
// (chromium, content/browser/devtools/devtools_pipe_handler.h).
type chromium struct {
	*fixture
	dir     string
	in, out *os.File
	read    *bufio.Reader
	id      int
	session string
}

// newChromium puts a browser into $BROWSER that is steered from here once it is
// started. It trusts this Lakebase's certificate by its key.
func newChromium(t *testing.T, p *fixture) *chromium {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Fatal("there is no chromium in PATH")
	}
	c := &chromium{fixture: p, dir: filepath.Join(p.home, "chromium")}
	for _, name := range []string{"in", "out"} {
		must(t, syscall.Mkfifo(filepath.Join(p.home, name), 0o600))
	}
	p.browserIs(fmt.Sprintf(`exec %s --headless --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage --no-proxy-server \
  --user-data-dir=%s --ignore-certificate-errors-spki-list=%s --remote-debugging-pipe "$1" 3<%s/in 4>%s/out`, program, c.dir, keyOf(t, p), p.home, p.home))
	// Opened for reading and writing, which does not block.
	c.in, c.out = c.pipe("in"), c.pipe("out")
	c.read = bufio.NewReader(c.out)
	t.Cleanup(c.end)
	return c
}

func (c *chromium) pipe(name string) *os.File {
	c.t.Helper()
	f, err := os.OpenFile(filepath.Join(c.home, name), os.O_RDWR|syscall.O_NONBLOCK, 0)
	must(c.t, err)
	return f
}

// keyOf is the server's public key, as the browser's option wants it.
func keyOf(t *testing.T, p *fixture) string {
	t.Helper()
	u, err := url.Parse(p.env["DATABRICKS_HOST"])
	must(t, err)
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
	must(t, err)
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// end kills the browser with all its processes: it leads a session of its own.
func (c *chromium) end() {
	for _, pid := range c.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	eventually(c.t, "the browser is gone", func() bool { return len(c.pids()) == 0 })
	_, _ = c.in.Close(), c.out.Close()
}

// pids returns the browser's processes: those that name its directory, and their
// children.
func (c *chromium) pids() (pids []int) {
	for pid, line := range everyCommandLine() {
		if strings.Contains(line, c.dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (c *chromium) commandLines() (lines []string) {
	for _, line := range everyCommandLine() {
		lines = append(lines, line)
	}
	return lines
}

func everyCommandLine() map[int]string {
	out := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		var pid int
		if _, err := fmt.Sscanf(f, "/proc/%d/cmdline", &pid); err != nil {
			continue
		}
		if text, err := os.ReadFile(f); err == nil {
			out[pid] = string(text)
		}
	}
	return out
}

// attach waits for the browser's page.
func (c *chromium) attach() {
	c.t.Helper()
	for deadline := time.Now().Add(runLimit); c.session == ""; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("the browser has no page")
		}
		var list struct {
			TargetInfos []struct{ TargetID, Type, URL string } `json:"targetInfos"`
		}
		c.call("Target.getTargets", nil, &list)
		for _, target := range list.TargetInfos {
			if target.Type == "page" {
				var got struct{ SessionID string }
				c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &got)
				c.session = got.SessionID
			}
		}
	}
}

// call makes one call and waits for its answer.
func (c *chromium) call(method string, params any, result any) {
	c.t.Helper()
	c.id++
	text, err := json.Marshal(map[string]any{"id": c.id, "method": method, "params": params, "sessionId": c.session})
	if c.session == "" {
		text, err = json.Marshal(map[string]any{"id": c.id, "method": method, "params": params})
	}
	must(c.t, err)
	_ = c.out.SetReadDeadline(time.Now().Add(runLimit))
	if _, err := c.in.Write(append(text, 0)); err != nil {
		c.t.Fatal(err)
	}
	for {
		answer, err := c.read.ReadBytes(0)
		if err != nil {
			c.t.Fatalf("%s: the browser does not answer: %v", method, err)
		}
		var a struct {
			ID     int
			Error  *struct{ Message string }
			Result json.RawMessage
		}
		must(c.t, json.Unmarshal(answer[:len(answer)-1], &a))
		if a.ID != c.id { // an event
			continue
		}
		if a.Error != nil {
			c.t.Fatalf("%s: %s", method, a.Error.Message)
		}
		must(c.t, json.Unmarshal(a.Result, result))
		return
	}
}

// eval runs a script in the page, as its console would.
func (c *chromium) eval(script string) any {
	c.t.Helper()
	var got struct{ Result struct{ Value any } }
	c.call("Runtime.evaluate", map[string]any{"expression": script, "userGesture": true, "returnByValue": true}, &got)
	return got.Result.Value
}

// eventually waits until the script returns what is wanted.
func (c *chromium) eventually(what, script string, want any) {
	c.t.Helper()
	var got any
	for deadline := time.Now().Add(runLimit); got != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("it did not come to this: %s: %v at %v:\n%v", what, got, c.eval("location.href"), c.eval("document.documentElement.outerHTML"))
		}
		got = c.eval(script)
	}
}
