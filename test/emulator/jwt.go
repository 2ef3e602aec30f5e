package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
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

// signer signs with ES256.
type signer struct {
	key    *ecdsa.PrivateKey
	issuer string
}

func newSigner() (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &signer{key: key}, err
}

// ticket describes what a token of the workspace's own is to hold.
type ticket struct {
	kind            Kind
	subject         string
	client          string // "" is subject, as for a service principal
	endpoint        string
	issued, expires time.Time
}

// mint makes a token of the workspace.
func (s *signer) mint(t ticket) (string, error) {
	c := claims{
		Kind: t.kind, ClientID: orDefault(t.client, t.subject), Subject: t.subject, Scope: "all-apis",
		Issuer: s.issuer + "/oidc", Audience: workspaceID, Endpoint: t.endpoint, Details: detailsOf(t.subject),
	}
	if t.kind == DatabaseToken {
		c.Scope = "iam.current-user:read iam.groups:read iam.service-principals:read iam.users:read"
	}
	return s.seal("at+jwt", c, t.issued, t.expires)
}

// seal signs claims with iat and exp of whole seconds, or of milliseconds when
// the token lives for less than ten seconds: tests use such lives.
func (s *signer) seal(typ string, c claims, issued, expires time.Time) (string, error) {
	short := expires.Sub(issued).Abs() < 10*time.Second
	c.IssuedAt, c.Expires, c.ID = numericDate(issued, short), numericDate(expires, short), newUUID()
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf(`{"kid":"%x","typ":"%s","alg":"ES256"}`, sha256.Sum256(s.key.X.Bytes()), typ)
	body := encode([]byte(head)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(body))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	t.FillBytes(sig[32:])
	return body + "." + encode(sig), nil
}

func detailsOf(subject string) string {
	return `[{"type":"unity_catalog_permission","securable_type":"table","securable_object_name":"*","operation":"READ"},` +
		`{"type":"database_permission","instance":"*","identity":"` + subject + `","role":"CAN_CONNECT"}]`
}

// verify returns the claims of a token that this emulator signed, of the kind
// wanted. A token past its end comes back with its claims and errExpiredJWT.
func (s *signer) verify(token string, kind Kind, now time.Time) (claims, error) {
	c, sum, sig, err := parse(token)
	if err != nil {
		return c, err
	}
	if !ecdsa.Verify(&s.key.PublicKey, sum, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return c, errSignature
	}
	if c.Kind != kind {
		return c, errKind
	}
	exp, err := c.Expires.Float64()
	if err != nil {
		return c, errNotJWT
	}
	if float64(now.UnixNano())/1e9 >= exp {
		return c, errExpiredJWT
	}
	return c, nil
}

// parse takes a compact JWS apart: claims, the digest that was signed, and the
// 64 bytes of its signature.
func parse(token string) (claims, []byte, []byte, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, nil, nil, errNotJWT
	}
	for i, into := range []any{&struct{}{}, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return c, nil, nil, errNotJWT
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sig) != 64 {
		return c, nil, nil, errNotJWT
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return c, sum[:], sig, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// numericDate is RFC 7519's: seconds, here with a fraction when asked for.
func numericDate(t time.Time, fraction bool) json.Number {
	if fraction {
		return json.Number(fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000))
	}
	return json.Number(fmt.Sprint(t.Unix()))
}

// newUUID is a random one, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret has the form of a service principal's: "dose" and 32 hex digits.
func newSecret() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("dose%x", b)
}
