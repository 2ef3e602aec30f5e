package cli

import (
	"strings"
	"testing"
)

// endOf finds where a quoted text ends, as Postgres' scanner does (PostgreSQL
// manual, "Lexical Structure"); below 0: nowhere.
func endOf(sql string) int {
	escapes := strings.HasPrefix(sql, "E")
	sql = strings.TrimPrefix(sql, "E")
	quote := sql[0]
	for i := 1; i < len(sql); i++ {
		switch {
		case escapes && sql[i] == '\\':
			i++
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote && escapes:
			return i + 2
		case sql[i] == quote:
			return i + 1
		}
	}
	return -1
}

// No name ends its quotes, whatever standard_conforming_strings says.
func FuzzQuotes(f *testing.F) {
	for _, s := range []string{"", "a", `'`, `\`, `\'`, `''`, `"; --`, `x'); DROP TABLE t; --`, "E'", `\\'`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []string{literal(s), identifier(s)} {
			if got := endOf(quoted + " rest"); got != len(quoted) {
				t.Errorf("%q becomes %s, which ends at %d of %d", s, quoted, got, len(quoted))
			}
		}
		if lit := literal(s); strings.Contains(s, `\`) != strings.HasPrefix(lit, "E") {
			t.Errorf("%q becomes %s", s, lit)
		}
	})
}
