package sanitize

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestEscape(t *testing.T) {
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
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	const secret = "canary0123456789abcdef"
	for in, want := range map[string]string{
		"plain, with ümläuts":             "plain, with ümläuts",
		"  two\r\n\tlines\n":              "two lines",
		"'a  path' and\nmore":             "'a  path' and more",
		"red\x1b[31m":                     `red\x1B[31m`,
		"bidi \u202e and \xff":            `bidi \xE2\x80\xAE and \xFF`,
		"said " + secret + " indeed":      "said [redacted] indeed",
		strings.Repeat("x", 500):          strings.Repeat("x", 500),
		strings.Repeat("ä", 300):          strings.Repeat("ä", 248) + "…",
		strings.Repeat("a ", 9000):        strings.Repeat("a ", 248) + "a…",
		strings.Repeat("\x1b", 9000):      strings.Repeat(`\x1B`, 124) + `\…`,
		strings.Repeat("東", 300):          strings.Repeat("東", 165) + "…",
		"a\n" + strings.Repeat(" ", 9000): "a…",
	} {
		if got := Line(in, credential.NewSecret(secret)); got != want {
			t.Errorf("Line(%.40q…) = %q, want %q", in, got, want)
		}
	}
}

// A secret that any of the bounds cuts is not shown in part.
func TestLine_NoPartOfASecret(t *testing.T) {
	const shape = "dose0123456789abcdef0123456789abcdef"
	known := credential.NewSecret("correct horse battery staple")
	for _, before := range []int{0, 300, 480, 500 - len(shape), 500, 4000 - 30, 4000 - 12, 4000} {
		for _, secret := range []string{shape, known.Reveal()} {
			filler := strings.Repeat(shape+" ", before/(len(shape)+1)) // shrinks when it is redacted
			for _, text := range []string{strings.Repeat("x ", before/2) + secret, filler + secret} {
				if got := Line(text, known); strings.Contains(got, secret[:8]) || len(got) > 500 {
					t.Errorf("after %d bytes: got %q", before, got)
				}
			}
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{{"abcdef", 6, "abcdef"}, {"abcdefg", 6, "abc…"}, {"ääää", 7, "ää…"}, {"abcd", 3, "…"}} {
		if got := Truncate(c.in, c.limit); got != c.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"x", "\x1b[0m", "a\nb", "\u202e", "\xff\xfe", "\xc0\x8a", strings.Repeat("ä", 400), strings.Repeat("…", 300)} {
		f.Add(s, "secret-secret")
	}
	f.Fuzz(func(t *testing.T, in, secret string) {
		got := Line(in, credential.NewSecret(secret))
		if len(got) > MaxLine {
			t.Errorf("got %d bytes", len(got))
		}
		for _, out := range []string{got, Escape(in)} {
			if !utf8.ValidString(out) || strings.ContainsFunc(out, IsUnsafe) {
				t.Errorf("%q: got %q", in, out)
			}
			if again := Escape(out); again != out {
				t.Errorf("%q: escaped twice is %q", out, again)
			}
		}
	})
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"postgresql://app:hunter2@db.example/x":           "postgresql://...@db.example/x",
		"https://hunter2@db.example":                      "https://...@db.example",
		"app:hunter2@db.example":                          "app:...@db.example",
		"app:hunt@er2@db.example":                         "app:...@db.example",
		"host=x PassWord=hunter2 user=y":                  "host=x PassWord...",
		"postgresql://db.example/x?password=hunter2":      "postgresql://db.example/x?password...",
		"postgresql://a:hunter2@db/x?sslpassword=hunter2": "postgresql://...@db/x?sslpassword...",
		"\u0130\u0130\u0130password=hunter2":              "\u0130\u0130\u0130password...",
		"ada@example.com":                                 "ada@example.com",
		"password":                                        "password",
		"host:5432":                                       "host:5432",
		strings.Repeat("x", 1000):                         strings.Repeat("x", 77) + "...",
	} {
		if got := Quote(in); got != strconv.QuoteToASCII(want) {
			t.Errorf("Quote(%q) = %s, want %q", in, got, want)
		}
	}
	if got := Quote("a\x1b\u202e\n"); got != `"a\x1b\u202e\n"` {
		t.Errorf("got %s", got)
	}
}

// A shell reads back what ShellQuote and ShellWord wrote.
func TestShellQuote(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	for _, s := range []string{"/plain/x-1.ini", "/with blank", "/it's", "/$HOME`id`", "/new\nline", "/ä", "-rf", "- f", "/~", "/a\\b", ""} {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+ShellQuote(s)).Output()
		want := s
		if strings.HasPrefix(s, "-") {
			want = "./" + s // chmod would read it as an option
		}
		if err != nil || string(out) != want {
			t.Errorf("%q was read as %q (%v)", s, out, err)
		}
		if out, err = exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+ShellWord(s)).Output(); err != nil || string(out) != s {
			t.Errorf("%q was read as the word %q (%v)", s, out, err)
		}
	}
}
