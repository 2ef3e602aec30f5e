package emulator

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"regexp"
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
	scope   string // "" is all-apis
	revoked bool
}

// code is an authorization code that was given out.
type code struct {
	family    *family
	challenge string // of PKCE, S256
	redirect  string
	expires   time.Time
	used      bool
}

// refreshToken is one that was given out.
type refreshToken struct {
	family  *family
	expires time.Time
	dead    bool // it was rotated away
}

// grantCode returns a code for one token request.
func (s *state) grantCode(c code) string {
	if len(s.codes) >= keptRecords { // a long run forgets what cannot be used
		maps.DeleteFunc(s.codes, func(_ string, c *code) bool { return c.used })
	}
	value := newOpaque()
	s.codes[value] = &c
	return value
}

// verifierForm is RFC 7636's.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// redeem takes a code, which is spent by that whatever comes of it. A code that
// comes again takes with it what its first use gave (RFC 6749, 4.1.2).
func (s *state) redeem(value, redirect, verifier string, now time.Time) (c code, wrong string) {
	known := s.codes[value]
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
	case !verifierForm.MatchString(verifier) || encode(sum[:]) != known.challenge:
		return c, "code_verifier does not match the challenge"
	}
	return *known, ""
}

// issueRefresh makes a refresh token.
func (s *state) issueRefresh(f *family, set Settings) string {
	if len(s.refresh) >= keptRecords {
		maps.DeleteFunc(s.refresh, func(_ string, t *refreshToken) bool { return t.dead })
	}
	value := newOpaque()
	s.refresh[value] = &refreshToken{family: f, expires: set.clock().Add(cmp.Or(set.RefreshLife, defaultRefreshLife))}
	s.remember(value)
	return value
}

// useRefresh uses a refresh token. It returns its sign-in, nil if it is refused, and the
// next token if they rotate.
func (s *state) useRefresh(value string, set Settings) (f *family, next string) {
	t := s.refresh[value]
	switch {
	case t == nil || set.RefreshRevoked || t.family.revoked || !set.clock().Before(t.expires):
		return nil, ""
	case t.dead:
		t.family.revoked = set.RefreshReuseRevokes
		return nil, ""
	case set.RefreshRotates:
		t.dead = true
		next = s.issueRefresh(t.family, set)
	}
	return t.family, next
}
