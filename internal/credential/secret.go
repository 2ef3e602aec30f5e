// Package credential has the types that carry secrets: Secret, Token and Key. They are
// redacted wherever they are printed, logged or marshaled; Reveal returns the text, so
// that a search for it finds every use.
package credential

import (
	"crypto/subtle"
	"fmt"
)

// Redacted is printed in place of a Secret.
const Redacted = "[redacted]"

// Secret is a password, client secret or token. The zero value is no secret. The text is
// behind a pointer because fmt calls no methods of unexported fields and would print a
// string there.
type Secret struct{ text *string }

// NewSecret wraps s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// Reveal returns the text. It is for the network, the keychain and the command's
// environment, never for output to users.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns Redacted.
func (s Secret) String() string { return Redacted }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// MarshalText redacts, also in encoding/json and log/slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
