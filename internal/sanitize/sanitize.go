// Package sanitize makes text from servers, files and other programs safe to show:
// one bounded line of valid UTF-8 without secrets and without characters that a
// terminal obeys or does not show.
package sanitize

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// MaxLine bounds what Line returns, in bytes.
const MaxLine = 500

const ellipsis = "…"

// IsUnsafe reports whether r is a control character, a format character (which
// includes bidirectional overrides and zero-width characters) or a line or
// paragraph separator.
func IsUnsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Escape replaces each byte of unsafe characters and of invalid UTF-8 with \xNN.
func Escape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 || IsUnsafe(r) {
			for _, c := range []byte(text[i : i+n]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		} else {
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Line returns text as one safe line of at most MaxLine bytes. It redacts the given
// secrets and whatever looks like one, trims space, replaces each run of line breaks
// and tabs with a blank, and escapes the rest that is unsafe. A text that was cut ends in "…".
func Line(text string, secrets ...credential.Secret) string {
	// Redaction takes time by length, so what is far beyond the bound goes first. A
	// word that this cuts may be a secret's beginning and goes with it.
	if rough := 8 * MaxLine; len(text) > rough {
		text = text[:rough]
		if i := strings.LastIndexAny(text, " \t\r\n"); i > 0 {
			text = text[:i]
		}
		text = strings.TrimSpace(text) + ellipsis
	}
	lines := strings.FieldsFunc(credential.Redact(text, secrets...), isLineSpace)
	return Truncate(Escape(strings.TrimSpace(strings.Join(lines, " "))), MaxLine)
}

func isLineSpace(r rune) bool { return '\t' <= r && r <= '\r' }

// Truncate shortens text to at most limit bytes, at a character's start and with
// "…" at the end.
func Truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// maxQuoted bounds what Quote shows of a value, in bytes.
const maxQuoted = 80

// Quote returns a value that the user gave as a quoted Go string of ASCII
// characters, cut to 80 bytes and without the password of a connection URL or string.
func Quote(value string) string {
	value = withoutPassword(value)
	if len(value) > maxQuoted {
		value = value[:maxQuoted-3] + "..."
	}
	return strconv.QuoteToASCII(value)
}

// withoutPassword omits what follows "password" and a separator, the user part of a URL,
// and what is between a colon and an @.
func withoutPassword(s string) string {
	// Most values: compiling the expressions takes longer than a warm start's configuration.
	if !strings.ContainsAny(s, "=:") {
		return s
	}
	s = regexp.MustCompile(`(?is)(password)[^=:]*[=:].*`).ReplaceAllString(s, "$1...")
	return regexp.MustCompile(`(?s)(://|:).*@`).ReplaceAllString(s, "$1...@")
}

// ShellQuote returns path as one word of a POSIX shell command line. A path that
// begins with "-" gets "./" in front.
func ShellQuote(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	return ShellWord(path)
}

// ShellWord returns text as one word of a POSIX shell command line.
func ShellWord(text string) string {
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// SQLIdentifier quotes a name for SQL (PostgreSQL manual, "Lexical Structure").
func SQLIdentifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// SQLLiteral quotes a text for SQL as libpq's PQescapeLiteral does.
func SQLLiteral(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// plain are the characters that need no quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,="
