//go:build unix

package securefile

import (
	"os/exec"
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

// TestQuote lets a shell read what was quoted.
func TestQuote(t *testing.T) {
	for _, s := range []string{"/plain/x-1.ini", "/with blank", "/it's", "/$HOME`id`", "/new\nline", "/ä", "-rf", "/~", "/a\\b"} {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+Quote(s)).Output()
		want := s
		if s == "-rf" {
			want = "./-rf" // chmod would read it as an option
		}
		if err != nil || string(out) != want {
			t.Errorf("%q was read as %q (%v)", s, out, err)
		}
	}
}
