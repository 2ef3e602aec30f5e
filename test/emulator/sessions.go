package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"regexp"
	"sync"
	"time"
)

// The lives of what a user's sign-in gives, unless a setting overrides them.
const (
	defaultCodeLife    = 5 * time.Minute
	defaultRefreshLife = 30 * 24 * time.Hour
)

// family is one sign-in of a user: what comes of one code.
type family struct {
	user    string
	revoked bool
}

// code is an authorization code that was given out.
type code struct {
	family    *family
	challenge string // of PKCE, S256
	redirect  string
	scope     string
	expires   time.Time
	used      bool
}

// refreshToken is one that was given out.
type refreshToken struct {
	family  *family
	expires time.Time
	dead    bool // it was rotated away
}

// sessions are the codes and refresh tokens that exist or did.
type sessions struct {
	remember func(secret string)

	mu      sync.Mutex
	codes   map[string]*code
	refresh map[string]*refreshToken
}

// grantCode returns a code for one token request.
func (b *sessions) grantCode(c code, user string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.codes == nil {
		b.codes = map[string]*code{}
	}
	if len(b.codes) >= keptRecords { // a long run forgets what cannot be used
		maps.DeleteFunc(b.codes, func(_ string, c *code) bool { return c.used })
	}
	c.family = &family{user: user}
	value := newOpaque()
	b.codes[value] = &c
	return value
}

// verifierForm is RFC 7636's.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// redeem takes a code, which is spent by that whatever comes of it. A code that
// comes again takes with it what its first use gave (RFC 6749, 4.1.2).
func (b *sessions) redeem(value, redirect, verifier string, now time.Time) (code, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.codes[value]
	if c == nil {
		return code{}, "The authorization code is unknown"
	}
	if c.used {
		c.family.revoked = true
		return code{}, "The authorization code was used before"
	}
	c.used = true
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case !now.Before(c.expires):
		return code{}, "The authorization code has expired"
	case redirect != c.redirect:
		return code{}, "redirect_uri is not that of the authorization request"
	case !verifierForm.MatchString(verifier) || subtle.ConstantTimeCompare([]byte(encode(sum[:])), []byte(c.challenge)) != 1:
		return code{}, "code_verifier does not match the challenge"
	}
	return *c, ""
}

// begin starts a family without a code.
func (b *sessions) begin(user string, s Settings) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.issue(&family{user: user}, s)
}

// give makes the first refresh token of a code's family.
func (b *sessions) give(f *family, s Settings) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.issue(f, s)
}

// issue makes a refresh token; mu is held.
func (b *sessions) issue(f *family, s Settings) string {
	if b.refresh == nil {
		b.refresh = map[string]*refreshToken{}
	}
	if len(b.refresh) >= keptRecords {
		maps.DeleteFunc(b.refresh, func(_ string, t *refreshToken) bool { return t.dead })
	}
	value := newOpaque()
	b.refresh[value] = &refreshToken{family: f, expires: s.clock().Add(lifeOr(s.RefreshLife, defaultRefreshLife))}
	b.remember(value)
	return value
}

// renew uses a refresh token: whose it is, and the next one where they rotate.
func (b *sessions) renew(value string, s Settings) (user, next string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.refresh[value]
	if t == nil || s.RefreshRevoked || t.family.revoked || !s.clock().Before(t.expires) {
		return "", "", false
	}
	if t.dead {
		t.family.revoked = t.family.revoked || s.RefreshReuseRevokes
		return "", "", false
	}
	if s.RefreshRotates {
		t.dead = true
		next = b.issue(t.family, s)
	}
	return t.family.user, next, true
}

// newOpaque is a random word of 43 characters.
func newOpaque() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return encode(b[:])
}

// newPAT has the form of a personal access token.
func newPAT() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("dapi%x", b)
}
