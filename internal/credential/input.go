package credential

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Trim removes byte order marks and white space at both ends of a text that a user, a
// file or a variable supplied.
func Trim(text string) string {
	return strings.TrimFunc(text, func(r rune) bool { return r == byteOrderMark || unicode.IsSpace(r) })
}

const byteOrderMark = '\uFEFF'

// ErrBlank means that a secret is empty or white space.
var ErrBlank = errors.New("is blank")

// ParseSecret returns the trimmed text as a secret. Errors: ErrBlank, *CharacterError.
func ParseSecret(text string) (Secret, error) {
	text = Trim(text)
	if text == "" {
		return Secret{}, ErrBlank
	}
	if err := CheckCharacters(text); err != nil {
		return Secret{}, err
	}
	return NewSecret(text), nil
}

// CheckCharacters returns a *CharacterError for the first character that no secret,
// token, client ID or host name contains: one that is not printable ASCII, a space, or
// quotation marks at the ends.
func CheckCharacters(text string) error {
	position := 0
	for i, r := range text {
		position++
		_, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return &CharacterError{fmt.Sprintf("a byte that is not UTF-8 (0x%02X)", text[i]), position, "save it as UTF-8 text"}
		case r == 0: // as in UTF-16
			return &CharacterError{characterName(r), position, "save it as UTF-8 text"}
		case r <= ' ' || r > '~':
			return &CharacterError{characterName(r), position, "copy it again, without that character"}
		}
	}
	for i, c := range []byte(text) {
		if (i == 0 || i == len(text)-1) && strings.IndexByte("\"'`", c) >= 0 {
			return &CharacterError{fmt.Sprintf("a quotation mark (%c)", c), i + 1,
				"remove the quotation marks: docker --env-file, for one, keeps them"}
		}
	}
	return nil
}

// CharacterError reports a character that cannot be part of a secret, a token or an
// identifier. It does not contain the text.
type CharacterError struct {
	Name     string // with its code
	Position int    // from 1
	Fix      string
}

func (e *CharacterError) Error() string {
	return fmt.Sprintf("contains %s at position %d", e.Name, e.Position)
}

// Hint returns what to do about it.
func (e *CharacterError) Hint() string { return e.Fix }

func characterName(r rune) string {
	name, ok := characterNames[r]
	switch {
	case ok:
	case unicode.IsControl(r):
		name = "a control character"
	case unicode.IsSpace(r):
		name = "a space"
	case unicode.In(r, unicode.Cf):
		name = "an invisible character"
	default:
		name = "a non-ASCII character"
	}
	return fmt.Sprintf("%s (U+%04X)", name, r)
}

// characterNames are those that often are copied by mistake.
var characterNames = map[rune]string{
	' ': "a space", '\n': "a line break", '\r': "a carriage return", '\t': "a tab", 0: "a NUL",
	'\u00A0': "a no-break space", '\u00AD': "a soft hyphen", '\u200B': "a zero-width space", '\u200C': "a zero-width non-joiner",
	'\u200D': "a zero-width joiner", '\u2060': "a word joiner", byteOrderMark: "a byte order mark",
	'\u2018': "a quotation mark", '\u2019': "a quotation mark", '\u201C': "a quotation mark", '\u201D': "a quotation mark",
	'\u2010': "a hyphen that is not ASCII", '\u2011': "a hyphen that is not ASCII", '\u2013': "a dash", '\u2014': "a dash",
}

// IsUUID reports whether s is a UUID in its text form (RFC 9562, section 4): 8-4-4-4-12
// hexadecimal digits of either case.
func IsUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	_, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	return err == nil
}
