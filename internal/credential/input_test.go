package credential

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSecret(t *testing.T) {
	for text, want := range map[string]string{
		"dose-1":                      "dose-1",
		"\ufeffdose-1":                "dose-1",
		" \t\r\ndose-1\n\u00a0\u2003": "dose-1",
		"\ufeff \ufeffdose-1\ufeff\n": "dose-1",
		"a\"b'c`d~!":                  "a\"b'c`d~!",
		"eyJ.x_y-z+/=":                "eyJ.x_y-z+/=",
	} {
		if got, err := ParseSecret(text); err != nil || got.Reveal() != want {
			t.Errorf("%q: got %q, %v; want %q", text, got.Reveal(), err, want)
		}
	}
	for _, blank := range []string{"", " \n", "\ufeff", "\u00a0\u2028"} {
		if _, err := ParseSecret(blank); !errors.Is(err, ErrBlank) {
			t.Errorf("%q: got %v, want %v", blank, err, ErrBlank)
		}
	}
}

func TestParseSecret_BadCharacter(t *testing.T) {
	const quotes, again, utf8 = "remove the quotation marks", "copy it again", "save it as UTF-8"
	for _, c := range []struct {
		text      string
		character string
		position  int
		hint      string
	}{
		{`"canary"`, `a quotation mark (")`, 1, quotes},
		{"canary'", "a quotation mark (')", 7, quotes},
		{"`canary", "a quotation mark (`)", 1, quotes},
		{"\u201ccanary\u201d", "a quotation mark (U+201C)", 1, again},
		{"\ufeff\u200bcanary", "a zero-width space (U+200B)", 1, again},
		{"can\u200bary", "a zero-width space (U+200B)", 4, again},
		{"canary\u200d", "a zero-width joiner (U+200D)", 7, again},
		{"can\ufeffary", "a byte order mark (U+FEFF)", 4, again},
		{"can\u00a0ary", "a no-break space (U+00A0)", 4, again},
		{"can ary", "a space (U+0020)", 4, again},
		{"can\nary", "a line break (U+000A)", 4, again},
		{"can\x1bary", "a control character (U+001B)", 4, again},
		{"\u202ecanary", "an invisible character (U+202E)", 1, again},
		{"\u00e9\u2013canary", "a non-ASCII character (U+00E9)", 1, again},
		{"dose\u2013canary", "a dash (U+2013)", 5, again},
		{"c\xffanary", "a byte that is not UTF-8 (0xFF)", 2, utf8},
		{"\xff\xfec\x00a\x00n", "a byte that is not UTF-8 (0xFF)", 1, utf8}, // as PowerShell's > writes
		{"c\x00a\x00n\x00", "a NUL (U+0000)", 2, utf8},
	} {
		_, err := ParseSecret(c.text)
		var e *CharacterError
		if !errors.As(err, &e) || e.Name != c.character || e.Position != c.position || !strings.HasPrefix(e.Hint(), c.hint) {
			t.Errorf("%q: got %v, want %s at position %d, hint %q", c.text, err, c.character, c.position, c.hint)
		}
		if strings.Contains(err.Error()+e.Hint(), "canary") {
			t.Errorf("%q: the secret is shown: %v", c.text, err)
		}
	}
}
