package emulator

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// The words of a token exchange (RFC 8693; databricks-sdk-go
// config/experimental/auth/oidc).
const (
	grantExchangeURN = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtTokenType     = "urn:ietf:params:oauth:token-type:jwt"
)

// The issuer of workload tokens, and the subject that the policy admits where no
// switch describes otherwise.
const (
	WorkloadIssuer  = "https://issuer.example.com"
	WorkloadSubject = "repo:lakebase-exec/shop:ref:refs/heads/main"
)

const defaultWorkloadLife = 10 * time.Minute

// federation is the one service principal's federation policy, and the issuer
// that it trusts. The issuer's key is made when it first signs.
type federation struct {
	clientID string
	issuer   func() (*signer, error)
}

func newFederation(clientID string) *federation {
	return &federation{clientID: clientID, issuer: sync.OnceValues(newSigner)}
}

// audience is what the policy wants.
func (a *api) audience(s Settings) string { return orDefault(s.Audience, a.tokenEndpoint(s)) }

// exchangeGrant returns a workspace token for a workload's own: by the policy of
// the service principal that client_id names, or, where it names none, by the
// account's, whose subject is a user's user name.
func (a *api) exchangeGrant(r *http.Request, s Settings) reply {
	form := r.PostForm
	invalid := func(code, why string) reply { return oauthError(http.StatusBadRequest, code, why) }
	if _, _, basic := r.BasicAuth(); basic {
		return oauthError(http.StatusUnauthorized, "invalid_client", "A token exchange has no client secret")
	}
	client := form.Get("client_id")
	switch {
	case form.Get("subject_token_type") != jwtTokenType:
		return invalid("invalid_request", "subject_token_type is not "+jwtTokenType)
	case form.Get("subject_token") == "":
		return invalid("invalid_request", "subject_token is missing")
	case form.Get("scope") != "all-apis":
		return invalid("invalid_scope", "The requested scope is invalid")
	case client != "" && client != a.federation.clientID:
		return oauthError(http.StatusUnauthorized, "invalid_client", "No federation policy of such a service principal")
	}
	c, why := a.workload(form.Get("subject_token"), s)
	if why != "" {
		return invalid("invalid_grant", why)
	}
	switch {
	case client == "" && !a.principals.isUser(c.Subject):
		return invalid("invalid_grant", "The token's subject is no user of the account")
	case client == "":
		return a.granted(s, c.Subject, "", "all-apis", "")
	case c.Subject != orDefault(s.Subject, WorkloadSubject):
		return invalid("invalid_grant", "The token's subject does not match the federation policy")
	}
	return a.granted(s, client, "", "all-apis", "")
}

// workload checks signature, life, issuer and audience of a workload's token.
func (a *api) workload(token string, s Settings) (claims, string) {
	issuer, err := a.federation.issuer()
	if err != nil {
		return claims{}, "The issuer has no key"
	}
	c, err := issuer.verify(token, "", s.clock())
	switch {
	case errors.Is(err, errExpiredJWT):
		return c, "The token has expired"
	case errors.Is(err, errSignature):
		return c, "The token's signature does not verify"
	case err != nil:
		return c, "The token is not a JWT"
	case c.Issuer != WorkloadIssuer:
		return c, "The token's issuer does not match the federation policy"
	case c.Audience != a.audience(s):
		return c, "The token's audience does not match the federation policy"
	}
	return c, ""
}

// WorkloadSpec describes a workload token.
type WorkloadSpec struct {
	Subject  string        // "" is the policy's
	Audience string        // "" is the policy's
	Issuer   string        // "" is WorkloadIssuer
	Life     time.Duration // from now; 0 is 10 min, below 0 has expired
	Foreign  bool          // signed by another key
}

// MintWorkload makes a workload token without a request.
func (l *Lakebase) MintWorkload(spec WorkloadSpec) (string, error) { return l.api.mintWorkload(spec) }

func (a *api) mintWorkload(spec WorkloadSpec) (string, error) {
	s := a.settings.get()
	by := a.federation.issuer
	if spec.Foreign {
		by = newSigner
	}
	issuer, err := by()
	if err != nil {
		return "", err
	}
	now := s.clock()
	expires := now.Add(lifeOr(spec.Life, lifeOr(s.WorkloadLife, defaultWorkloadLife)))
	c := claims{Issuer: orDefault(spec.Issuer, WorkloadIssuer), Subject: orDefault(spec.Subject, orDefault(s.Subject, WorkloadSubject)),
		Audience: orDefault(spec.Audience, a.audience(s))}
	token, err := issuer.seal("JWT", c, minTime(now, expires.Add(-time.Second)), expires)
	if err == nil {
		a.principals.remember(token)
	}
	return token, err
}

// IssueWorkload is MintWorkload by its three words; empty and 0 are the policy's.
func (l *Lakebase) IssueWorkload(sub, aud string, life time.Duration) string {
	token, err := l.MintWorkload(WorkloadSpec{Subject: sub, Audience: aud, Life: life})
	if err != nil {
		return "" // no key could be made: crypto/rand does not fail on supported systems
	}
	return token
}
