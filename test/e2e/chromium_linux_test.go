package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

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
	p.browserIs(`exec ` + program + ` --headless --no-sandbox --no-first-run --disable-gpu --disable-dev-shm-usage --no-proxy-server --user-data-dir=` +
		filepath.Join(p.home, "chromium") + ` --ignore-certificate-errors-spki-list=` + base64.StdEncoding.EncodeToString(key[:]) + ` --dump-dom "$1&approve=1" >"$HOME/page"`)
	cmd := p.command("lakebase-credential-helper", "login", "-p", "me", "--user-login")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	login := p.start(cmd)
	page, addresses := "", 0
	eventually(t, "our page is shown", func() bool {
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
		return strings.Contains(page, "</html>")
	})
	if !strings.Contains(page, "The browser's part of the login is done") || addresses == 0 {
		t.Errorf("%d addresses were seen; the browser shows %q", addresses, page)
	}
	if o := login.wait().wantExit(0); o.stdout+o.stderrWithoutProgress() != "" {
		t.Errorf("it says %q", o.stdout+o.stderr)
	}
	wantOutput(t, "psql", p.do("lakebase-exec", "-p", "me", "--", "psql", "-XAtc", "select current_user").wantExit(0).stdout, "ada@example.com\n")
}
