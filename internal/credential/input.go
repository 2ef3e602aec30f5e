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
	const byteOrderMark = '\uFEFF'
	return strings.TrimFunc(text, func(r rune) bool { return r == byteOrderMark || unicode.IsSpace(r) })
}

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
// a quotation mark at the beginning or end.
func CheckCharacters(text string) error {
	position := 0
	for i, r := range text {
		position++
		atEnd := i == 0 || i == len(text)-1
		if r <= ' ' || r > '~' || atEnd && strings.ContainsRune(quotationMarks, r) {
			return &CharacterError{r, position}
		}
	}
	return nil
}

const quotationMarks = "\"'`"

// CharacterError reports a character that cannot be part of a secret, a token or an
// identifier. It does not contain the text.
type CharacterError struct {
	Character rune
	Position  int // from 1
}

func (e *CharacterError) Error() string {
	return fmt.Sprintf("contains %+q at position %d", e.Character, e.Position)
}

// Hint returns what to do about it.
func (e *CharacterError) Hint() string {
	switch {
	case e.Character == 0 || e.Character == utf8.RuneError: // as in UTF-16
		return "save it as UTF-8 text"
	case strings.ContainsRune(quotationMarks, e.Character):
		return "remove the quotation marks: docker --env-file, for one, keeps them"
	}
	return "copy it again, without that character"
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
