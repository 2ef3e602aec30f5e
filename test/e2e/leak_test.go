package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// token is the shape of a JWT.
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`)

// encoded lists the forms in which a secret may slip out unseen.
func encoded(id, secret string) []string {
	return []string{
		base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(id + ":" + secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)),
		url.QueryEscape("x " + secret)[2:],
	}
}

// secretIn names what text holds of any secret that the service principal ever
// had, in clear or encoded.
func secretIn(l *emulator.Lakebase, text string) string {
	for _, secret := range l.EverySecret() {
		if strings.Contains(text, secret) {
			return "the secret"
		}
		for _, form := range encoded(l.ClientID, secret) {
			if strings.Contains(text, form) {
				return "the secret, encoded"
			}
		}
	}
	return ""
}
