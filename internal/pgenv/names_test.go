package pgenv

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tables hold the variables of libpq 18 and no others.
func TestTables_Libpq18(t *testing.T) {
	data, err := os.ReadFile("testdata/libpq18.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			want = append(want, line)
		}
	}
	want = append(want, "PGREALM", "PGTTY", "PGOAUTHCAFILE", "PGSSLPASSWORD", "PGSSL") // other versions and drivers
	slices.Sort(want)
	got := slices.Concat(allowed, unsafe)
	for _, n := range managed {
		if strings.HasPrefix(n, "PG") {
			got = append(got, n)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("libpq 18 (-) and the tables (+):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		what    string
		check   func([]string) error
		reasons map[string]string
	}{
		{"kept", CheckKeep, map[string]string{
			"PGHOSTADDR": "another server", "PGSERVICE": "another server", "PGSERVICEFILE": "another server", "PGSYSCONFDIR": "another server",
			"PGPASSFILE": "another password", "PGHOST": "sets it", "PGPASSWORD": "sets it", "PGSSLROOTCERT": "sets it", "LAKEBASE_TOKEN_EXPIRES_AT": "sets it", "LAKEBASE_PROFILE": "sets it",
			"": "not a variable name", "A=B": "not a variable name", "A B": "not a variable name", "1A": "not a variable name", "Ä": "not a variable name"}},
		{"set", CheckExtra, map[string]string{
			"PGHOST": "sets it", "PGPASSWORD": "sets it", "PGAPPNAME": "sets it", "LAKEBASE_PROFILE": "sets it", "DATABASE_URL": "given twice",
			"PGSERVICE": "removes it", "PGSSL": "removes it", "DATABRICKS_TOKEN": "removes it", "1A": "not a variable name", "A B": "not a variable name", "": "not a variable name"}},
	} {
		for name, reason := range c.reasons {
			var bad *Error
			err := c.check([]string{"DATABASE_URL", name})
			if !errors.As(err, &bad) || !strings.HasPrefix(bad.Problem, fmt.Sprintf("%q cannot be %s: ", name, c.what)) ||
				!strings.Contains(bad.Problem, reason) || bad.Hint() == "" {
				t.Errorf("%q: got %v, want %q", name, err, reason)
			}
		}
	}
	if err := CheckKeep([]string{"PGSSLCERT", "DATABRICKS_TOKEN", "_x1", "PGREQUIREAUTH", "PGAPPNAME", "pgservice"}); err != nil && !foldNames {
		t.Error(err)
	}
	if foldNames && (CheckKeep([]string{"pgService"}) == nil || CheckExtra([]string{"Pghost"}) == nil) {
		t.Error("names differ by case on Windows")
	}
}
