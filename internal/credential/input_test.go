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
	for _, c := range []struct{ text, want, hint string }{
		{`"canary"`, `'"' at position 1`, quotes},
		{"canary'", `'\'' at position 7`, quotes},
		{"`canary", "'`' at position 1", quotes},
		{"\u201ccanary\u201d", `'\u201c' at position 1`, again},
		{"\ufeff\u200bcanary", `'\u200b' at position 1`, again},
		{"can\ufeffary", `'\ufeff' at position 4`, again},
		{"can ary", `' ' at position 4`, again},
		{"can\nary", `'\n' at position 4`, again},
		{"can\x1bary", `'\x1b' at position 4`, again},
		{"can\u00e9\u2013ary", `'\u00e9' at position 4`, again},
		{"c\xffanary", `'\ufffd' at position 2`, utf8},
		{"\xff\xfec\x00a\x00n", `'\ufffd' at position 1`, utf8}, // as PowerShell's > writes
		{"c\x00a\x00n\x00", `'\x00' at position 2`, utf8},
	} {
		_, err := ParseSecret(c.text)
		var e *CharacterError
		if !errors.As(err, &e) || err.Error() != "contains "+c.want || !strings.HasPrefix(e.Hint(), c.hint) {
			t.Errorf("%q: got %v, want %s, hint %q", c.text, err, c.want, c.hint)
			continue
		}
		if strings.Contains(err.Error()+e.Hint(), "canary") {
			t.Errorf("%q: the secret is shown: %v", c.text, err)
		}
	}
}
