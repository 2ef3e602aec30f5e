package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestPages_FirstBlock pastes the blocks with which a new user begins into a shell, in
// the repository's directory.
func TestPages_FirstBlock(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"README.md":              "2/u customers",
		"docs/local-lakebase.md": "(1 row)",
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			root := absolute(t, "..", "..")
			data, err := os.ReadFile(filepath.Join(root, page))
			must(t, err)
			_, block, _ := strings.Cut(string(data), "```sh\nrm -f lakebase.env\n")
			block, _, found := strings.Cut(block, "```")
			if !found {
				t.Fatal("got no block, want one that begins with rm -f lakebase.env")
			}
			p := newKeyringFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}), testkeyring.Unlocked)
			buildMigrate(t)
			p.set("LAKEBASE_CACHE=off")
			for _, name := range []string{"DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "ENDPOINT_NAME", "PGHOST", "PGPORT",
				"LAKEBASE_CACERT", "PGSSLROOTCERT"} {
				delete(p.env, name)
			}
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GOTOOLCHAIN", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB"} {
				if out, err := exec.Command("go", "env", name).Output(); err == nil && len(out) > 1 {
					p.set(name + "=" + strings.TrimSpace(string(out)))
				}
			}
			dir := t.TempDir()
			// The lakebase.env of the block is not written into the repository.
			script := "cd " + dir + "\nln -s " + root + "/test " + root + "/go.mod " + root + "/go.sum " + root + "/internal " + root + "/cmd .\n" + block + "\npkill -g 0 -x local-lakebase\n"
			cmd := p.command("bash", "-c", script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the local Lakebase in the background
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
			o := p.start(cmd).wait().wantExit(0)
			if text := o.stdout + o.stderr; !strings.Contains(text, want) {
				t.Errorf("got %q, want %q in it", text, want)
			}
		})
	}
}
