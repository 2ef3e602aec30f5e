package credential

import (
	"regexp"
	"strings"
	"sync"
)

// shape is that of what signs in at Databricks: a service principal's secret and a
// personal access token (GitHub, "Supported secret scanning patterns"), and the
// beginning of a JWT (RFC 7519: a brace and a quote in base64). Few texts need it:
// it is compiled for the first that has one of its words.
var shape = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:dose|dapi)[0-9A-Fa-f]{32}(?:-[0-9]+)?|eyJ[A-Za-z0-9_.=-]{17,}`)
})

func mayHold(text string) bool {
	return strings.Contains(text, "dose") || strings.Contains(text, "dapi") || strings.Contains(text, "eyJ")
}

// HoldsSecret says whether something that looks like a secret stands in text.
func HoldsSecret(text string) bool { return mayHold(text) && shape().MatchString(text) }

// HideSecrets takes out of text the secrets that are known, whatever their shape, as
// Scrub does, and what looks like one: one that stands where none belongs, or that a
// server says without our having had it.
func HideSecrets(text string, known ...Secret) string {
	return Scrub(text, append(shapedIn(text), known...)...)
}

// shapedIn is looked for before anything is taken out, which could leave the rest of a
// token without its beginning.
func shapedIn(text string) (found []Secret) {
	if !mayHold(text) {
		return nil
	}
	for _, s := range shape().FindAllString(text, -1) {
		found = append(found, NewSecret(s))
	}
	return found
}
