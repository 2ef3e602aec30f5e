package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// MaxLife is the longest credible lifetime of a token: both kinds expire after 60 minutes
// (Databricks, "Connect an external app to Lakebase by API").
const MaxLife = time.Hour

// Token is a short-lived credential and its times by the local clock, in UTC. A native
// password has no times.
type Token struct {
	Value     Secret
	MintedAt  time.Time
	ExpiresAt time.Time // zero: it does not expire
}

// Fresh reports whether the token is valid for the given time, or for half of its lifetime
// if that is shorter. A token from the future, or with a lifetime above MaxLife, is never
// fresh: a clock has jumped.
func (t Token) Fresh(now time.Time, least time.Duration) bool {
	life := t.ExpiresAt.Sub(t.MintedAt)
	if t.Value.IsZero() || life <= 0 || life > MaxLife || t.MintedAt.After(now) {
		return false
	}
	return t.ExpiresAt.Sub(now) >= max(MinLife(least, life), 1)
}

// MinLife returns the required remaining lifetime of a token: least, or half of its whole
// lifetime if that is shorter.
func MinLife(least, life time.Duration) time.Duration { return min(least, life/2) }

// Key identifies a cached token by everything that the workspace's token depends on. Keys
// with the same ID are the same token's.
type Key struct {
	Identity    string        // authentication type: "oauth-m2m"
	Host        string        // the workspace, host or host:port
	WorkspaceID string        // from ?o= or ?w=
	Principal   string        // client ID, or a user name
	Options     string        // NAME="VALUE" of the authentication type, and a scope; empty: none
	Target      string        // projects/P/branches/B/endpoints/E, or InstancePrefix and a name
	TTL         time.Duration // requested; 0: the server's default
	Credential  string        // "database", or "workspace": the workspace token itself
	ReadOnly    bool          // for the target's read-only host
	Pooled      bool          // for the endpoint's pooled host
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
	fields := []string{keyVersion, k.Identity, k.Host, k.WorkspaceID, k.Principal, k.Target,
		k.TTL.String(), k.Credential, strconv.FormatBool(k.ReadOnly)}
	if k.Pooled {
		fields = append(fields, "pooled") // no options: they contain a '='
	}
	if k.Options != "" {
		fields = append(fields, k.Options)
	}
	for _, f := range fields {
		h.Write([]byte(strconv.Itoa(len(f)) + ":" + f))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Fingerprint identifies the secret that a cached token was minted with, without
// revealing it: a SHA-256 over the key's ID and the secret.
func (k Key) Fingerprint(s Secret) string {
	sum := sha256.Sum256([]byte("fingerprint\x00" + k.ID() + "\x00" + s.Reveal()))
	return hex.EncodeToString(sum[:16])
}
