package broker

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// claimsOf reads what a JWT says of itself (RFC 7519, 4.1). Nothing is checked:
// it is for a person who compares it with a federation policy. A text that is no
// JWT has no claims.
func claimsOf(token credential.Secret) Claims {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return Claims{}
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Claims{}
	}
	var c struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Aud any    `json:"aud"`
	}
	if json.Unmarshal(text, &c) != nil {
		return Claims{}
	}
	out := Claims{Issuer: c.Iss, Subject: c.Sub}
	switch aud := c.Aud.(type) {
	case string:
		out.Audience = aud
	case []any:
		var all []string
		for _, a := range aud {
			if s, ok := a.(string); ok {
				all = append(all, s)
			}
		}
		out.Audience = strings.Join(all, " ")
	}
	return out
}
