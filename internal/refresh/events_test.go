package refresh

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain, with ümläuts":              "plain, with ümläuts",
		"two\nlines\x1b[31m":               `two\x0Alines\x1B[31m`,
		"bidi \u202e and \xff":             `bidi \xE2\x80\xAE and \xFF`,
		"said dose0123456789abcdef indeed": "said [redacted] indeed",
		strings.Repeat("ä", 300):           strings.Repeat("ä", 248) + "…",
		strings.Repeat("\n", 9000):         strings.Repeat(`\x0A`, 124) + "…",
	} {
		if got := line(errors.New(in), credential.NewSecret("dose0123456789abcdef")); got != want {
			t.Errorf("%q: %q, and not %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("two\nlines", "secret-secret")
	f.Add("\xff\u2028", "")
	f.Add(strings.Repeat("…", 300), "…………")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := line(errors.New(text), credential.NewSecret(secret))
		if len(got) > maxText || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q in %q", r, got)
			}
		}
	})
}
