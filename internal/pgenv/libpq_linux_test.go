package pgenv

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A variable that the installed libpq (Debian: libpq5) reads and the tables lack
// would reach the child. PGRES_* are names of result codes.
func TestTables_InstalledLibpq(t *testing.T) {
	var library []byte
	for _, pattern := range []string{"/usr/lib/*-linux-gnu*/libpq.so.5", "/usr/lib64/libpq.so.5", "/usr/lib/libpq.so.5", "/usr/local/lib/libpq.so.5", "/usr/pgsql-*/lib/libpq.so.5"} {
		for _, path := range must(filepath.Glob(pattern)) {
			library = must(os.ReadFile(path))
		}
	}
	variable := regexp.MustCompile(`^PG[A-Z_]+$`)
	n := 0
	for s := range bytes.SplitSeq(library, []byte{0}) {
		if !variable.Match(s) || bytes.HasPrefix(s, []byte("PGRES_")) {
			continue
		}
		if n++; !isLibpq(string(s)) {
			t.Errorf("libpq reads %s, which is in no table", s)
		}
	}
	if n < 30 {
		t.Errorf("got %d variables of libpq in %d bytes", n, len(library))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
