package credential

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSecret(t *testing.T) {
	for text, want := range map[string]string{
		"dose-1": "dose-1", "\ufeffdose-1": "dose-1", " \t\r\ndose-1\n\u00a0\u2003": "dose-1", "\ufeff \ufeffdose-1\ufeff\n": "dose-1",
		"a\"b'c`d~!": "a\"b'c`d~!", "eyJ.x_y-z+/=": "eyJ.x_y-z+/=",
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
	for text, want := range map[string]string{
		`"canary"`:            `a quotation mark (") at position 1|remove the quotation marks`,
		"canary'":             "a quotation mark (') at position 7|remove the quotation marks",
		"`canary":             "a quotation mark (`) at position 1|remove the quotation marks",
		"\u201ccanary\u201d":  "a quotation mark (U+201C) at position 1|copy it again",
		"\ufeff\u200bcanary":  "a zero-width space (U+200B) at position 1|copy it again",
		"can\u200bary":        "a zero-width space (U+200B) at position 4|copy it again",
		"canary\u200d":        "a zero-width joiner (U+200D) at position 7|copy it again",
		"can\ufeffary":        "a byte order mark (U+FEFF) at position 4|copy it again",
		"can\u00a0ary":        "a no-break space (U+00A0) at position 4|copy it again",
		"can\u00adary":        "a soft hyphen (U+00AD) at position 4|copy it again",
		"can ary":             "a space (U+0020) at position 4|copy it again",
		"can\nary":            "a line break (U+000A) at position 4|copy it again",
		"can\x1bary":          "a control character (U+001B) at position 4|copy it again",
		"\u202ecanary":        "an invisible character (U+202E) at position 1|copy it again",
		"caf\u00e9-canary":    "a non-ASCII character (U+00E9) at position 4|copy it again",
		"\u00e9\u2013canary":  "a non-ASCII character (U+00E9) at position 1|copy it again",
		"dose\u2013canary":    "a dash (U+2013) at position 5|copy it again",
		"c\xffanary":          "a byte that is not UTF-8 (0xFF) at position 2|save it as UTF-8",
		"\xff\xfec\x00a\x00n": "a byte that is not UTF-8 (0xFF) at position 1|save it as UTF-8", // as PowerShell's > writes
		"c\x00a\x00n\x00":     "a NUL (U+0000) at position 2|save it as UTF-8",
	} {
		_, err := ParseSecret(text)
		var e *CharacterError
		message, hint, _ := strings.Cut(want, "|")
		if !errors.As(err, &e) || e.Error() != "contains "+message || !strings.HasPrefix(e.Hint(), hint) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if strings.Contains(err.Error()+e.Hint(), "canary") {
			t.Errorf("%q: the secret is shown: %v", text, err)
		}
	}
}
