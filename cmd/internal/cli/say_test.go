package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"plain words, Größe, 東京 ✓": "plain words, Größe, 東京 ✓",
		"":                         "",
		"a\x1b[31mb\a":             `a\x1B[31mb\x07`,
		"a\r\nb\tc\x00":            `a\x0D\x0Ab\x09c\x00`,
		"a\u202eb\u2066c\u200fd":   `a\xE2\x80\xAEb\xE2\x81\xA6c\xE2\x80\x8Fd`,
		"a\u009b31mb\u0085":        `a\xC2\x9B31mb\xC2\x85`,
		"a\xff\xfeb\xe2\x80":       `a\xFF\xFEb\xE2\x80`,
		"a\u2028b\u2029\ufeff":     `a\xE2\x80\xA8b\xE2\x80\xA9\xEF\xBB\xBF`,
		"a\x7fb":                   `a\x7Fb`,
		"a\xc0\x8ab":               `a\xC0\x8Ab`, // an overlong line feed
		"the real \ufffd":          "the real \ufffd",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q is shown as %q, and not %q", in, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	if got := Foreign("  words \n"); got != "words" {
		t.Errorf("%q", got)
	}
	exact := strings.Repeat("x", 500)
	if Foreign(exact) != exact {
		t.Error("500 bytes are cut")
	}
	for _, in := range []string{exact + "y", strings.Repeat("ä", 300), "x" + strings.Repeat("東", 300), strings.Repeat("\x80", 2000), strings.Repeat("\x1b", 2000)} {
		got, cut := strings.CutSuffix(Foreign(in), "…")
		if !cut || len(got) > 500 || len(got) < 496 || !strings.HasPrefix(in, got) || utf8.ValidString(in) && !utf8.ValidString(got) {
			t.Errorf("%d bytes are cut to %d: %q", len(in), len(got), got)
		}
	}
}

// What looks like a secret is not said, in whatever form and at whatever level.
func TestNothingSecretIsSaid(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		s := &Say{Program: "prog", Out: &out, Level: config.LogVerbose, JSON: asJSON}
		const secret = "dose0123456789abcdef0123456789abcdef"
		s.Error(secret+" is no option", "try "+secret)
		s.Warn("a %s", secret)
		s.Hint("b %s", secret)
		s.Note("c %s", secret)
		s.Progress(secret)
		if strings.Contains(out.String(), secret[:12]) || strings.Count(out.String(), "[redacted]") != 6 {
			t.Errorf("%s", out.String())
		}
	}
}

// A text is cut after its secrets are taken out: half of one is no secret's shape.
func TestForeignCutsNoSecretInHalf(t *testing.T) {
	const secret = "dose0123456789abcdef0123456789abcdef"
	for _, before := range []int{0, maxForeign - 20, maxForeign - len(secret), maxForeign} {
		got := Foreign(strings.Repeat("x", before) + secret)
		if strings.Contains(got, secret[:8]) || !strings.HasPrefix(got, strings.Repeat("x", before)) {
			t.Errorf("behind %d bytes: %q", before, got)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"x", "\x1b[0m", "a\nb", "\u202e", "\xff\xfe", "\xc0\x8a", strings.Repeat("ä", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, out := range []string{Plain(in), Plain(Foreign(in))} {
			if !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool {
				return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
			}) {
				t.Fatalf("%q is shown as %q", in, out)
			}
		}
		if len(Foreign(in)) > maxForeign+len("…") {
			t.Fatalf("%d bytes of %d are left", len(Foreign(in)), len(in))
		}
		if utf8.ValidString(in) && !strings.ContainsFunc(in, func(r rune) bool { return !unicode.IsPrint(r) }) && Plain(in) != in {
			t.Fatalf("%q was changed without need", in)
		}
	})
}

func TestSayLevels(t *testing.T) {
	all := func(level string) string {
		var b bytes.Buffer
		s := &Say{Program: "prog", Out: &b, Level: level}
		s.Error("e\nx", "h")
		s.Warn("w %d", 1)
		s.Note("n %d", 2)
		s.Progress("p")
		return b.String()
	}
	for level, want := range map[string]string{
		config.LogQuiet:   "prog: error: e\\x0Ax\n",
		config.LogNormal:  "prog: error: e\\x0Ax\nprog: hint: h\nprog: warning: w 1\nprog: p\n",
		config.LogVerbose: "prog: error: e\\x0Ax\nprog: hint: h\nprog: warning: w 1\nprog: note: n 2\nprog: p\n",
	} {
		if got := all(level); got != want {
			t.Errorf("%s: %q", level, got)
		}
	}
	var b bytes.Buffer
	(&Say{Program: "prog", Out: &b}).Error("e", "")
	if b.String() != "prog: error: e\n" {
		t.Errorf("without a hint: %q", b.String())
	}
}

func TestSayJSON(t *testing.T) {
	var b bytes.Buffer
	s := &Say{Program: "prog", Out: &b, Level: config.LogNormal, JSON: true}
	s.Error("e\x1b \"q\"", "h")
	s.Progress("p")
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q", b.String())
	}
	for i, want := range []map[string]string{{"level": "error", "message": `e\x1B "q"`}, {"level": "hint", "message": "h"}, {"level": "progress", "message": "p"}} {
		var got map[string]string
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || got["program"] != "prog" || got["level"] != want["level"] || got["message"] != want["message"] {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
}
