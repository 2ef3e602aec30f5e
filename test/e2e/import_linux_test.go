package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// On a terminal, login --import asks before it takes the plain-text secret out
// of .databrickscfg; whatever is not a yes is a no.
func TestImport_Prompts(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	path := filepath.Join(p.home, ".databrickscfg")
	rest := "# keep\r\n[DEFAULT]\r\nhost = " + p.env["DATABRICKS_HOST"] + "\r\nclient_id = " + l.ClientID + "\r\n"
	whole := rest + "client_secret = " + l.ClientSecret + " # plain\r\n"
	for answer, want := range map[string]string{"\n": whole, "n\n": whole, "yellow\n": whole, "\x04": whole, "y\n": rest, " YES\n": rest} {
		if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		s := startOnTerminal(p, "lakebase-credential-helper", "login", "--import")
		question := "Remove the plain-text secret from section [DEFAULT] of " + path + "? Other tools that read it there would lose it. [y/N] "
		eventually(t, "it asks", func() bool { return strings.Contains(s.output(), question) })
		s.typeText(answer)
		if status := s.end(); status != 0 {
			t.Errorf("answer %q: ended with %s:\n%q", answer, exitStatus(status), s.output())
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("after the answer %q: %v, and the secret is gone: %t", answer, err, string(got) == rest)
		}
		if hinted := strings.Contains(s.output(), "add --remove-plaintext to remove that line"); hinted != (want == whole) {
			t.Errorf("after the answer %q the hint is shown: %t\n%q", answer, hinted, s.output())
		}
	}
	p.do("lakebase-credential-helper", "list").wantExit(0)
}
