package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// TestLogin_AtOnce starts eight logins at once, and an editor that appends to the files
// they change: each profile, secret and line is there in the end. LOGIN_ROUNDS repeats it.
func TestLogin_AtOnce(t *testing.T) {
	t.Parallel()
	const logins = 8
	self, err := os.Executable()
	must(t, err)
	for _, store := range []string{"keychain", "file"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			l := startLakebase(t, emulator.Options{NoPostgres: true})
			p := newKeyringFixture(t, l, testkeyring.Unlocked)
			p.set(longTimeouts...)
			for _, name := range []string{"DATABRICKS_CLIENT_ID", "ENDPOINT_NAME"} {
				delete(p.env, name)
			}
			profiles := filepath.Join(p.home, ".config", "lakebase", "profiles.ini")
			sections := filepath.Join(p.home, ".databrickscfg")
			for round := range number(t, "LOGIN_ROUNDS", 1) {
				var cfg strings.Builder
				for i := range logins {
					fmt.Fprintf(&cfg, "# of %d\n[s%d]\nhost = %s\nclient_id = imported-%d\nclient_secret = %s\n", i, i,
						l.WorkspaceURL(), i, l.ClientSecret)
				}
				write(t, sections, cfg.String())
				must(t, os.Chmod(sections, 0o600))
				var runs []*running
				start := func(secret string, options ...string) {
					cmd := p.command(append([]string{"lakebase-credential-helper", "login", "--no-verify", "--store", store}, options...)...)
					cmd.Stdin = strings.NewReader(secret)
					runs = append(runs, p.start(cmd))
				}
				for i := range logins {
					n := fmt.Sprint(i)
					start(l.ClientSecret, "-p", "p"+n, "--client-id", "typed-"+n, "--endpoint", "projects/p/branches/b/endpoints/e"+n, "--secret-stdin")
					start("", "--import", "--databricks-profile", "s"+n, "--remove-plaintext")
					start("secret-no-"+n, "-p", "same", "--client-id", "same", "--endpoint", "projects/p/branches/b/endpoints/no-"+n, "--secret-stdin")
					appendLine(t, sections, "# edited "+n)
				}
				for _, r := range runs {
					r.wait().wantExit(0)
				}
				missing := func(path string, want ...string) {
					data, err := os.ReadFile(path)
					must(t, err)
					for _, w := range want {
						if !strings.Contains(string(data), w) {
							t.Errorf("round %d: %s has no %q:\n%s", round, path, w, data)
						}
					}
					if strings.Contains(string(data), l.ClientSecret) {
						t.Errorf("round %d: a secret is left in %s", round, path)
					}
				}
				listed := p.do("lakebase-credential-helper", "list").wantExit(0).stdout
				for i := range logins {
					n := fmt.Sprint(i)
					missing(profiles, "[p"+n+"]\n", "client_id = typed-"+n+"\n", "endpoints/e"+n+"\n")
					missing(sections, "# of "+n+"\n", "[s"+n+"]\n", "client_id = imported-"+n+"\n", "# edited "+n+"\n")
					for _, id := range []string{"typed-" + n, "imported-" + n} {
						if !strings.Contains(listed, id+" ") {
							t.Errorf("round %d: %s is not listed:\n%s", round, id, listed)
						}
					}
				}
				// The profile and the secret of a name are those of one login.
				data, err := os.ReadFile(profiles)
				must(t, err)
				_, last, _ := strings.Cut(string(data), "endpoints/no-")
				lookup := p.command("secret-tool", "lookup", "service", "lakebase", "username", "secret:"+strings.TrimPrefix(l.WorkspaceURL(), "https://")+":same")
				if store == "file" {
					lookup = p.command("grep", "-rhaoE", "secret-no-.", filepath.Join(p.home, ".config", "lakebase", "secrets"))
				}
				if got, want := p.finish(lookup).wantExit(0).stdout, "secret-no-"+last[:1]; !strings.Contains(got, want) {
					t.Errorf("round %d: got %q, want %q, as in the profile", round, got, want)
				}
				p.do("env", withoutKeyrings+"=1", self, "lakebase-credential-helper", "logout", "--all").wantExit(0)
				must(t, os.Remove(profiles))
			}
		})
	}
}

func appendLine(t *testing.T, path, line string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(line + "\n")
	must(t, err)
	must(t, f.Close())
}
