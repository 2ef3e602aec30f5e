package emulator

import (
	"crypto/sha256"
	"crypto/subtle"
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

func newSessions(remember func(string)) *sessions {
	return &sessions{remember: remember, codes: map[string]*code{}, refresh: map[string]*refreshToken{}}
}

// grantCode returns a code for one token request.
func (b *sessions) grantCode(c code) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.codes) >= keptRecords { // a long run forgets what cannot be used
		maps.DeleteFunc(b.codes, func(_ string, c *code) bool { return c.used })
	}
	value := newOpaque()
	b.codes[value] = &c
	return value
}

// verifierForm is RFC 7636's.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// redeem takes a code, which is spent by that whatever comes of it. A code that
// comes again takes with it what its first use gave (RFC 6749, 4.1.2).
func (b *sessions) redeem(value, redirect, verifier string, now time.Time) (c code, wrong string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.codes[value]
	if known == nil {
		return c, "The authorization code is unknown"
	}
	if known.used {
		known.family.revoked = true
		return c, "The authorization code was used before"
	}
	known.used = true
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case !now.Before(known.expires):
		return c, "The authorization code has expired"
	case redirect != known.redirect:
		return c, "redirect_uri is not that of the authorization request"
	case !verifierForm.MatchString(verifier) || subtle.ConstantTimeCompare([]byte(encode(sum[:])), []byte(known.challenge)) != 1:
		return c, "code_verifier does not match the challenge"
	}
	return *known, ""
}

// issue makes a refresh token.
func (b *sessions) issue(f *family, s Settings) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.issueLocked(f, s)
}

func (b *sessions) issueLocked(f *family, s Settings) string {
	if len(b.refresh) >= keptRecords {
		maps.DeleteFunc(b.refresh, func(_ string, t *refreshToken) bool { return t.dead })
	}
	value := newOpaque()
	b.refresh[value] = &refreshToken{family: f, expires: s.clock().Add(lifeOr(s.RefreshLife, defaultRefreshLife))}
	b.remember(value)
	return value
}

// renew uses a refresh token. It returns the user, and the next token if they rotate.
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
		next = b.issueLocked(t.family, s)
	}
	return t.family.user, next, true
}
