package config

import (
	"regexp"
	"strings"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// secretive is the shape of what signs in at Databricks: a service principal's
// secret and a personal access token (GitHub, "Supported secret scanning
// patterns"), and the beginning of a JWT (RFC 7519: a brace and a quote in base64).
// Few texts need it: it is compiled for the first that has one of its words.
var secretive = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:dose|dapi)[0-9A-Fa-f]{32}(?:-[0-9]+)?|eyJ[A-Za-z0-9_-]{17,}[A-Za-z0-9_.=-]*`)
})

func mayHold(text string) bool {
	return strings.Contains(text, "dose") || strings.Contains(text, "dapi") || strings.Contains(text, "eyJ")
}

// HoldsSecret says whether something that looks like a secret stands in text.
func HoldsSecret(text string) bool { return mayHold(text) && secretive().MatchString(text) }

// HideSecrets takes out of text what looks like a secret. It is the last guard of
// what is said, for one that stands where none belongs.
func HideSecrets(text string) string {
	if !mayHold(text) {
		return text
	}
	return secretive().ReplaceAllLiteralString(text, credential.Redacted)
}
