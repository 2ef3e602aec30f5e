package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
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
