package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// powershell parses by about_Quoting_Rules: in a single-quoted string two quotes are
// one, and typographic quotes count as quotes. Debian has no PowerShell.
func (f *formats) powershell(t *testing.T) {
	got, err := readPowerShell(f.get(t, "powershell"))
	if err != nil || got["PGUSER"] != f.lakebase.ClientID || got["PGPASSWORD"] != f.token || got["PGHOST"] != "localhost" {
		t.Errorf("%v; the values are other ones", err)
	}
	docs, refused := documents(t, "powershell")
	if !slices.Equal(refused, []string{"a\x00b"}) {
		t.Errorf("powershell refuses %q", refused)
	}
	var found []string
	for _, d := range docs {
		got, err := readPowerShell(d.text)
		if err != nil {
			t.Errorf("%q: %v", d.user, err)
		}
		found = append(found, got["PGUSER"], got["PGPASSWORD"])
	}
	sameAs(t, docs, found)
}

func readPowerShell(text string) (map[string]string, error) {
	const quotes = "'‘’‚‛"
	env := map[string]string{}
	for text != "" {
		if line, rest, _ := strings.Cut(text, "\n"); strings.HasPrefix(line, `Remove-Item -ErrorAction SilentlyContinue Env:\`) {
			text = rest
			continue
		}
		name, rest, ok := strings.Cut(text, " = '")
		name, dollar := strings.CutPrefix(name, "$env:")
		if !ok || !dollar || strings.ContainsAny(name, "\n '") {
			return env, fmt.Errorf("no assignment: %q", text)
		}
		var value []rune
		runes := []rune(rest)
		i := 0
		for ; i < len(runes); i++ {
			if strings.ContainsRune(quotes, runes[i]) {
				if i+1 == len(runes) || !strings.ContainsRune(quotes, runes[i+1]) {
					break
				}
				i++
			}
			value = append(value, runes[i])
		}
		if i+1 >= len(runes) || runes[i+1] != '\n' {
			return env, fmt.Errorf("there is more after the string: %q", text)
		}
		env[name], text = string(value), string(runes[i+2:])
	}
	return env, nil
}

// gitHub parses as actions/runner does: FileCommandManager for the file, whose blocks
// end at a line that is the delimiter, ActionCommand for stdout.
func (f *formats) gitHub(t *testing.T) {
	for _, user := range append([]string{f.lakebase.ClientID}, hostileUsers...) {
		file := write(t, filepath.Join(t.TempDir(), "env"), "BEFORE=stays\n")
		out, stderr, code := f.run(t, []string{"GITHUB_ENV=" + file}, f.helper, "get", "-p", "prod", "--format", "github-env", "--user="+user)
		if code != 0 || stderr != "" {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		mask, ok := strings.CutPrefix(out, "::add-mask::")
		mask = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(strings.TrimSuffix(mask, "\n"))
		if !ok || mask != f.token {
			t.Error("stdout is not the masking of the token")
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readGitHub(string(data))
		want := map[string]string{"BEFORE": "stays", "PGUSER": user, "PGPASSWORD": f.token, "PGHOST": "localhost", "PGPORT": f.lakebase.PGPort(),
			"PGDATABASE": f.lakebase.Database, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": f.lakebase.CAFile(), "LAKEBASE_TOKEN_EXPIRES_AT": got["LAKEBASE_TOKEN_EXPIRES_AT"]}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func readGitHub(text string) (map[string]string, error) {
	env := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, value, equals := strings.Cut(lines[i], "=")
		heredoc, delimiter, block := strings.Cut(lines[i], "<<")
		switch {
		case lines[i] == "":
		case equals && (!block || len(name) < len(heredoc)):
			env[name] = value
		case block && heredoc != "" && delimiter != "":
			end := slices.Index(lines[i+1:], delimiter)
			if end < 0 {
				return env, fmt.Errorf("%s is not ended", heredoc)
			}
			env[heredoc] = strings.Join(lines[i+1:i+1+end], "\n")
			i += end + 1
		default:
			return env, fmt.Errorf("line %q is no assignment", lines[i])
		}
	}
	return env, nil
}
