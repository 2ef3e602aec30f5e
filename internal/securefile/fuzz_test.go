//go:build unix

package securefile

import (
	"strings"
	"testing"
)

// FuzzPlain: a plain name never leads out of its folder.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"f", "..", "a/b", "C:x", "\x00", ".f", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if plain(name) && (strings.ContainsAny(name, "/\\:\x00") || name == "." || name == ".." || name == "") {
			t.Fatalf("%q is said to be plain", name)
		}
	})
}
