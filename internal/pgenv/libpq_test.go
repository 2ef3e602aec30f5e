package pgenv

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTableHoldsLibpq18 compares the table with the list of libpq 18's
// variables, both ways.
func TestTableHoldsLibpq18(t *testing.T) {
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
	if !slices.IsSorted(want) {
		t.Error("testdata/libpq18.txt is not sorted")
	}
	got := slices.Concat(slices.Collect(maps.Keys(passes)), slices.Collect(maps.Keys(steers)))
	for n := range ours {
		if strings.HasPrefix(n, "PG") {
			got = append(got, n)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("libpq 18 (-) and the table (+):\n%s", diff)
	}
}

// TestEachLibpqVariable sends every variable through Build.
func TestEachLibpqVariable(t *testing.T) {
	pass := set("PGOPTIONS", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO", "PGAPPNAME", "PGLOCALEDIR")
	for _, n := range slices.Concat(slices.Collect(maps.Keys(passes)), slices.Collect(maps.Keys(steers)), slices.Collect(maps.Keys(relatives)), slices.Collect(maps.Keys(ours))) {
		r, err := Build([]string{n + "=inherited"}, minimal, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(r.Environ, n+"=inherited"); got != pass[n] {
			t.Errorf("%s passes: %v, want %v", n, got, pass[n])
		}
	}
}
