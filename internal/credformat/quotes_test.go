package credformat

import (
	"strings"
	"testing"
)

// What ends a quote in a shell's line is quoted itself: a database may be called
// anything.
func TestQuotesInShells(t *testing.T) {
	a := answer
	a.Database = "it's \\ ‘so’ ‚now‛ $(id) `id`"
	for format, want := range map[string]string{
		"env":        `export PGDATABASE='it'\''s \ ‘so’ ‚now‛ $(id) ` + "`id`'",
		"fish":       `set -gx PGDATABASE 'it\'s \\ ‘so’ ‚now‛ $(id) ` + "`id`'",
		"powershell": `$env:PGDATABASE = 'it''s \ ‘‘so’’ ‚‚now‛‛ $(id) ` + "`id`'",
	} {
		out, err := Render(format, a, Context{})
		if err != nil || !strings.Contains("\n"+string(out), "\n"+want+"\n") {
			t.Errorf("%s: want the line %s in\n%s(%v)", format, want, out, err)
		}
	}
}
