package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var printed = regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]*)=|^unset ([A-Z][A-Z0-9_]*)$`)

// named are the variables in the paragraph that begins so.
func named(d document, begin string) []string {
	prose, _ := d.split()
	for _, paragraph := range strings.Split(prose, "\n\n") {
		if strings.HasPrefix(paragraph, begin) {
			names := variablePattern.FindAllString(paragraph, -1)
			slices.Sort(names)
			return slices.Compact(names)
		}
	}
	return nil
}

// printEnv gives what a command would get of a profile's run, and what it would
// not, where the caller has some variables.
func printEnv(t *testing.T, dir string, caller ...string) (set, unset []string) {
	t.Helper()
	p := &place{dir: dir, environ: append([]string{"HOME=" + dir, "LAKEBASE_CONFIG_FILE=" + filepath.Join(dir, "p.ini")}, caller...)}
	code, out := p.run(t.Context(), nil, wrapper, "-p", "prod", "--auth", "oauth-m2m", "--quiet", "--print-env", "--", "psql")
	if code != 0 {
		t.Fatalf("%q: exit code %d\n%s", caller, code, out)
	}
	for _, m := range printed.FindAllStringSubmatch(out, -1) {
		if m[1] != "" {
			set = append(set, m[1])
		} else {
			unset = append(unset, m[2])
		}
	}
	slices.Sort(set)
	return set, unset
}

// The lists of what the command gets, keeps and loses are those of --print-env.
func TestEnvironmentLists(t *testing.T) {
	dir := t.TempDir()
	profile := "[prod]\nhost = https://dbc-a1b2c3.cloud.databricks.com\nclient_id = id\nendpoint = projects/p/branches/b/endpoints/e\n"
	for name, text := range map[string]string{"p.ini": profile, "secret": "dose\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options, readme := page(t, "docs/options.md"), page(t, "README.md")
	got, _ := printEnv(t, dir)
	if want := named(options, "Set: "); !slices.Equal(got, want) {
		t.Errorf("docs/options.md says that %q are set, --print-env %q", want, got)
	}
	if want := named(readme, "Set: "); !slices.Equal(got, want) {
		t.Errorf("README.md says that %q are set, --print-env %q", want, got)
	}
	kept := slices.DeleteFunc(named(options, "Kept of libpq's: "), func(n string) bool { return n == "PGAPPNAME" }) // which is ours
	for _, name := range kept {
		if set, unset := printEnv(t, dir, name+"=1"); slices.Contains(set, name) || slices.Contains(unset, name) {
			t.Errorf("%s is not kept", name)
		}
	}
	removed := named(options, "Removed: ")
	for _, name := range removed {
		value := "x"
		if name == "DATABRICKS_CLIENT_SECRET_FILE" {
			value = filepath.Join(dir, "secret")
		}
		caller := []string{name + "=" + value}
		if name == "DATABRICKS_OIDC_TOKEN_ENV" { // the variable that it names is removed
			caller, name = []string{name + "=MINE_IS", "MINE_IS=x"}, "MINE_IS"
		}
		if _, unset := printEnv(t, dir, caller...); !slices.Contains(unset, name) {
			t.Errorf("%s is not removed", name)
		}
	}
	if len(kept) < 7 || len(removed) < 10 {
		t.Errorf("only %q are kept and %q removed", kept, removed)
	}
	if _, unset := printEnv(t, dir, "DATABRICKS_REGION=x"); len(unset) != 0 {
		t.Errorf("any variable is removed: %q", unset)
	}
	if got := named(document{"x.md", "No.\n\nSet: `PGHOST PGUSER`,\n`PGHOST`.\n\nSet: PGTZ"}, "Set: "); !slices.Equal(got, []string{"PGHOST", "PGUSER"}) {
		t.Errorf("%q", got)
	}
}
