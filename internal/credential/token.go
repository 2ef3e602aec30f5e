package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// MaxLife is the longest that a token is believed to live: both tokens end
// after 60 minutes (Databricks, "Connect an external app to Lakebase by API").
const MaxLife = time.Hour

// Token is a short-lived credential and its times on our own clock, in UTC.
type Token struct {
	Value     Secret
	MintedAt  time.Time
	ExpiresAt time.Time
}

// Fresh says whether the token has at least min of its life left, where min is
// cut to half of the token's whole life. A token minted in the future, or that
// claims to live longer than MaxLife, is never fresh: a clock has jumped.
func (t Token) Fresh(now time.Time, min time.Duration) bool {
	life := t.ExpiresAt.Sub(t.MintedAt)
	if t.Value.IsZero() || life <= 0 || life > MaxLife || t.MintedAt.After(now) {
		return false
	}
	return t.ExpiresAt.Sub(now) >= max(MinLife(min, life), 1)
}

// MinLife is the shortest rest that a token of the given life may have: min,
// or half of the life where that is less.
func MinLife(min, life time.Duration) time.Duration {
	if half := life / 2; min > half {
		return half
	}
	return min
}

// Key names one cached token: everything that decides what the workspace would
// mint. Two keys with an equal ID stand for the same token.
type Key struct {
	Identity    string        // how we sign in: "oauth-m2m"
	Host        string        // the workspace, host or host:port
	WorkspaceID string        // from ?o= or ?w=, often empty
	Principal   string        // client id, or a person's user name
	Target      string        // projects/P/branches/B/endpoints/E, or InstancePrefix and a name
	TTL         time.Duration // asked for; 0 leaves it to the server
	Credential  string        // "database", or "workspace": the workspace token itself
	ReadOnly    bool          // for the target's read-only host: the two hosts are never remembered in one place
}

// InstancePrefix begins the target of an instance of Lakebase Provisioned; no
// endpoint's name begins with it.
const InstancePrefix = "instances/"

// keyVersion changes when the meaning of a cached item does.
const keyVersion = "1"

// ID is the hex SHA-256 over the version and all fields, each preceded by its
// length so that no two keys run into each other.
func (k Key) ID() string {
	h := sha256.New()
	for _, f := range []string{keyVersion, k.Identity, k.Host, k.WorkspaceID, k.Principal, k.Target, k.TTL.String(), k.Credential, strconv.FormatBool(k.ReadOnly)} {
		h.Write([]byte(strconv.Itoa(len(f)) + ":" + f))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Fingerprint tells whether a cached token was made with this secret, without
// giving the secret away: a SHA-256 over the key's ID and the secret.
func (k Key) Fingerprint(s Secret) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"fingerprint", k.ID(), s.Reveal()}, "\x00")))
	return hex.EncodeToString(sum[:16])
}
