// Package credential owns the types that carry key material: Secret, Token and
// Key. It must never print, log, store or send one; whoever needs the text of a
// secret calls Reveal, so that a search for that word finds every use.
package credential

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
)

// Redacted is what every way of printing a Secret shows.
const Redacted = "[redacted]"

// Secret is a password, client secret or token. Its zero value is "none". The
// text stands behind a pointer: fmt calls no method of a value in somebody
// else's unexported field, and would print a string there.
type Secret struct{ text *string }

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// Reveal returns the text itself. It is for the wire, the keychain and the
// child's environment, never for people.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero says whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String, GoString and Format redact in every verb of package fmt.
func (s Secret) String() string   { return Redacted }
func (s Secret) GoString() string { return Redacted }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// MarshalJSON redacts. A secret that has to be written is revealed by its writer.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// MarshalText redacts, in log/slog too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
