package emulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind describes what a token opens.
type Kind string

// The two kinds: a workspace token is the API's bearer, a database token is the
// password of Postgres. Neither is accepted in the other's place, but for
// Settings.WorkspacePassword.
const (
	WorkspaceToken Kind = "workspace"
	DatabaseToken  Kind = "database"
)

// Reasons for which a token is refused.
var (
	errNotJWT     = errors.New("not a JWT")
	errSignature  = errors.New("signature does not verify")
	errKind       = errors.New("token of another kind")
	errExpiredJWT = errors.New("expired")
)

// claims are what the emulator writes into a token and reads back. Scope and
// details also give the token the size of a real one.
type claims struct {
	Kind     Kind        `json:"token_use,omitempty"`
	ClientID string      `json:"client_id,omitempty"`
	Scope    string      `json:"scope,omitempty"`
	Issuer   string      `json:"iss"`
	Audience string      `json:"aud"`
	Subject  string      `json:"sub"`
	IssuedAt json.Number `json:"iat"`
	Expires  json.Number `json:"exp"`
	ID       string      `json:"jti"`
	Endpoint string      `json:"endpoint,omitempty"` // of a database token: what it was minted for
	Details  string      `json:"authorization_details,omitempty"`
}

// signer signs with HS256, as only the emulator verifies its tokens.
type signer struct {
	key    []byte
	issuer string
}

func newSigner() *signer { return &signer{key: random(32)} }

func (s *signer) signature(body string) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(body))
	return h.Sum(nil)
}

// mint makes a token of the workspace from c's kind, subject, client ID (by default the
// subject, as for a service principal), scope (by default all APIs) and endpoint.
func (s *signer) mint(c claims, issued time.Time, life time.Duration) string {
	c.ClientID, c.Scope = cmp.Or(c.ClientID, c.Subject), cmp.Or(c.Scope, allAPIs)
	c.Issuer, c.Audience = s.issuer+"/oidc", workspaceID
	c.Details = `[{"type":"unity_catalog_permission","securable_type":"table","securable_object_name":"*","operation":"READ"},` +
		`{"type":"database_permission","instance":"*","identity":"` + c.Subject + `","role":"CAN_CONNECT"}]`
	if c.Kind == DatabaseToken {
		c.Scope = "iam.current-user:read iam.groups:read iam.service-principals:read iam.users:read"
	}
	return s.seal("at+jwt", c, issued, life)
}

// seal signs claims with iat and exp of whole seconds, or of milliseconds when
// the token lives for less than ten seconds: tests use such lives. A token that has
// expired was issued before that.
func (s *signer) seal(typ string, c claims, issued time.Time, life time.Duration) string {
	expires := issued.Add(life)
	if !issued.Before(expires) {
		issued = expires.Add(-time.Second)
	}
	short := expires.Sub(issued) < 10*time.Second
	c.IssuedAt, c.Expires, c.ID = numericDate(issued, short), numericDate(expires, short), newUUID()
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // claims are strings and numbers
	}
	head := fmt.Sprintf(`{"kid":"%x","typ":"%s","alg":"HS256"}`, sha256.Sum256(s.key), typ)
	body := encode([]byte(head)) + "." + encode(payload)
	return body + "." + encode(s.signature(body))
}

// verify returns the claims of a token that this emulator signed, of the kind
// wanted. A token past its end comes back with its claims and errExpiredJWT.
func (s *signer) verify(token string, kind Kind, now time.Time) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errNotJWT
	}
	for i, into := range []any{&struct{}{}, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return c, errNotJWT
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return c, errNotJWT
	}
	exp, err := c.Expires.Float64()
	switch {
	case !hmac.Equal(sig, s.signature(parts[0]+"."+parts[1])):
		return c, errSignature
	case c.Kind != kind:
		return c, errKind
	case err != nil:
		return c, errNotJWT
	case float64(now.UnixNano())/1e9 >= exp:
		return c, errExpiredJWT
	}
	return c, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// numericDate is RFC 7519's: seconds, here with a fraction when asked for.
func numericDate(t time.Time, fraction bool) json.Number {
	if fraction {
		return json.Number(fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000))
	}
	return json.Number(fmt.Sprint(t.Unix()))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	return b
}

// newUUID returns a random one, version 4.
func newUUID() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret has the form of a service principal's: "dose" and 32 hex digits.
func newSecret() string { return fmt.Sprintf("dose%x", random(16)) }

// newOpaque is a random word of 43 characters.
func newOpaque() string { return encode(random(32)) }
