package credential

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// scrubRun is the shortest run of a secret's bytes that Scrub hides.
const scrubRun = 8

// Scrub replaces in text every run of at least eight bytes that also stands in
// one of the secrets, or in its base64 or percent-encoded form. It is for words
// that came from a server: one that echoes what it was sent must not make us
// print it.
func Scrub(text string, secrets ...Secret) string {
	hidden := make([]bool, len(text))
	found := false
	for _, s := range secrets {
		for _, form := range forms(s.Reveal()) {
			found = mark(hidden, text, form) || found
		}
	}
	if !found {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(Redacted)
		}
	}
	return b.String()
}

// forms lists how a secret may be written on the wire.
func forms(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), url.QueryEscape(s)}
}

// mark sets hidden where text holds a run of form. A secret shorter than a run
// is looked for whole.
func mark(hidden []bool, text, form string) bool {
	run := min(scrubRun, len(form))
	found := false
	for i := 0; i+run <= len(text); i++ {
		if strings.Contains(form, text[i:i+run]) {
			found = true
			for j := i; j < i+run; j++ {
				hidden[j] = true
			}
		}
	}
	return found
}
