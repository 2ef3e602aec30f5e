package pgenv

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestInstalledLibpqIsKnown reads the installed library: a variable that it
// reads and the table lacks would pass to the child unseen. Debian: libpq5.
func TestInstalledLibpqIsKnown(t *testing.T) {
	names := libpqNames(t, findLibpq(t))
	if !slices.Contains(names, "PGHOSTADDR") || len(names) < 30 {
		t.Fatalf("found only %d names (%v): the search is broken", len(names), names)
	}
	for _, n := range names {
		if !isLibpq(n) {
			t.Errorf("libpq reads %s, which the table does not know", n)
		}
	}
}

func findLibpq(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*/libpq.so.5", "/usr/lib64/libpq.so.5", "/usr/lib/libpq.so.5", "/usr/local/lib/libpq.so.5", "/usr/pgsql-*/lib/libpq.so.5"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatal("libpq.so.5 is not installed (Debian and Ubuntu: libpq5)")
	return ""
}

// libpqNames lists the NUL-ended strings of the library that look like PG*
// variables. PGRES_* are names of result codes.
func libpqNames(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`^PG[A-Z_]+$`)
	var names []string
	for s := range bytes.SplitSeq(data, []byte{0}) {
		if n := string(s); variable.MatchString(n) && !strings.HasPrefix(n, "PGRES_") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
