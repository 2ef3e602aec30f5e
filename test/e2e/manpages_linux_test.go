package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// The manual pages are read without a warning, and show what they should.
func TestManualPages(t *testing.T) {
	t.Parallel()
	p := newFixture(t, startLakebase(t, emulator.Options{NoPostgres: true}))
	p.env["MANWIDTH"] = "80"
	client(t, "man")
	client(t, "groff")
	for name, shows := range map[string][]string{
		"lakebase-exec":              {"lakebase-exec [options] -- COMMAND [ARG...]", "-p, --profile NAME", "PGSSLROOTCERT", "123", "profiles.ini", "migrate -database 'postgres:///'"},
		"lakebase-credential-helper": {"lakebase-credential-helper get [options]", "--format FORMAT", "workspace-token", "LAKEBASE_CACHE", `eval "$(lakebase-credential-helper get -p prod --format env)"`},
	} {
		page, err := filepath.Abs("../../man/" + name + ".1")
		must(t, err)
		o := p.do("man", "-l", "--warnings", "-E", "ascii", page).wantExit(0)
		if o.stderr != "" {
			t.Errorf("man: %s", o.stderr)
		}
		text := strings.Join(strings.Fields(o.stdout), " ")
		for _, w := range shows {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not show %q:\n%s", page, w, o.stdout)
			}
		}
		at := -1
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"} {
			next := strings.Index(o.stdout, "\n"+section+"\n")
			if next <= at {
				t.Errorf("%s: section %s is missing, or not in its place", page, section)
			}
			at = next
		}
		if o := p.do("groff", "-man", "-Tutf8", "-ww", page).wantExit(0); o.stderr != "" {
			t.Errorf("groff: %s", o.stderr)
		}
	}
	// A page with a mistake is warned of.
	write(t, filepath.Join(p.home, "bad.1"), ".TH X 1\n.SH NAME\n.NOPE\n")
	if o := p.do("groff", "-man", "-Tutf8", "-ww", filepath.Join(p.home, "bad.1")); !strings.Contains(o.stderr, "NOPE") {
		t.Errorf("groff does not warn: %q", o.stderr)
	}
}
