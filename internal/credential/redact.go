package credential

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// minRun is the shortest run of a secret's bytes that is redacted.
const minRun = 8

// secretShape matches a service principal's secret and a personal access token (GitHub,
// "Supported secret scanning patterns"), and the beginning of a JWT (RFC 7519: a brace
// and a quote in base64). It is compiled at first use, as few texts need it.
var secretShape = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:dose|dapi)[0-9A-Fa-f]{32}(?:-[0-9]+)?|eyJ[A-Za-z0-9_.=-]{17,}`)
})

func mayContain(text string) bool {
	return strings.Contains(text, "dose") || strings.Contains(text, "dapi") || strings.Contains(text, "eyJ")
}

// ContainsSecret reports whether text contains something that looks like a secret.
func ContainsSecret(text string) bool { return mayContain(text) && secretShape().MatchString(text) }

// Redact replaces in text the known secrets and whatever looks like one: a server may
// echo what it was sent, or return a secret where none belongs. Every run of at least
// eight bytes of a secret, of its base64 or of its percent-encoded form is replaced.
func Redact(text string, known ...Secret) string {
	if mayContain(text) { // found first: redacting a part would hide the shape of the rest
		for _, s := range secretShape().FindAllString(text, -1) {
			known = append(known[:len(known):len(known)], NewSecret(s))
		}
	}
	hidden := make([]bool, len(text))
	found := false
	for _, s := range known {
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

// forms lists the encodings in which a secret may appear.
func forms(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), url.QueryEscape(s)}
}

// mark sets hidden where text contains a run of form. A form shorter than a run is
// matched as a whole.
func mark(hidden []bool, text, form string) bool {
	run := min(minRun, len(form))
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
