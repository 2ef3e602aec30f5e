package exchange

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// publicClient is the OAuth client that stands for a person's own machine. It
// has no secret (databricks-sdk-go credentials/u2m).
const publicClient = "databricks-cli"

// personScope is what a person's token may do, and that it can be refreshed.
const personScope = "offline_access all-apis"

// Grant is what a person gets: a workspace token, and the means to get the next
// one. Where the workspace gave no refresh token, or none that can be one,
// Refresh is zero, and the old one stays in use (RFC 6749 6).
type Grant struct {
	Token   credential.Token
	Refresh credential.Secret
}

// AuthorizeURL is the address at which a person signs in: the authorization
// request of RFC 6749 4.1.1 with PKCE's S256 challenge (RFC 7636 4.3). Nothing
// secret is in it, and nothing is sent.
func (c *Client) AuthorizeURL(state, challenge, redirectURI string) string {
	u := c.base
	u.Path = c.endpoints().authorize
	u.RawQuery = url.Values{
		"response_type": {"code"}, "client_id": {publicClient}, "redirect_uri": {redirectURI}, "scope": {personScope},
		"state": {state}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
	return u.String()
}

// CodeToken trades the code of a redirect for a grant (RFC 6749 4.1.3, RFC 7636
// 4.5). The redirect URI is the one that AuthorizeURL was given. A code is good
// for one use: see Error.Retryable. The error is an *Error.
func (c *Client) CodeToken(ctx context.Context, code, verifier credential.Secret, redirectURI string) (Grant, error) {
	r := c.form(CallCode, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {publicClient}, "code": {code.Reveal()},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier.Reveal()},
	}, code, verifier)
	if why := badToken(code.Reveal()); why != "" {
		return Grant{}, c.notSent(r, KindCodeRefused, "the code "+why)
	}
	if why := badToken(verifier.Reveal()); why != "" {
		return Grant{}, c.notSent(r, KindCodeRefused, "the verifier "+why)
	}
	return c.grant(ctx, r)
}

// RefreshedToken trades a refresh token for a new grant (RFC 6749 6). The
// workspace may make the old one useless as it gives a new one: store that before
// anything else, and never refresh twice at once. The error is an *Error.
func (c *Client) RefreshedToken(ctx context.Context, refresh credential.Secret) (Grant, error) {
	r := c.form(CallRefresh, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {publicClient}, "refresh_token": {refresh.Reveal()},
	}, refresh)
	if why := badToken(refresh.Reveal()); why != "" {
		return Grant{}, c.notSent(r, KindRefreshRefused, "the refresh token "+why)
	}
	return c.grant(ctx, r)
}

// FederatedToken trades a workload's own token for a workspace token, by the
// token exchange of RFC 8693 (databricks-sdk-go config/experimental/auth/oidc).
// An empty client id is left out: the account's own policy then says who it is.
// The error is an *Error.
func (c *Client) FederatedToken(ctx context.Context, clientID string, subject credential.Secret) (credential.Token, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token":      {subject.Reveal()}, "scope": {"all-apis"},
	}
	if clientID != "" {
		form.Set("client_id", clientID)
	}
	r := c.form(CallFederation, form, subject)
	if why := badToken(subject.Reveal()); why != "" {
		return credential.Token{}, c.notSent(r, KindFederationRefused, "the workload's token "+why)
	}
	g, err := c.grant(ctx, r)
	return g.Token, err
}

// form is a POST to the token endpoint by a client that has no secret.
func (c *Client) form(call Call, form url.Values, secrets ...credential.Secret) request {
	return request{
		call: call, method: http.MethodPost, path: c.endpoints().token,
		contentType: formType, body: []byte(form.Encode()), secrets: secrets,
	}
}

// grant makes the call and reads its answer. What that holds is hidden from then
// on, whether it can be used or not.
func (c *Client) grant(ctx context.Context, r request) (Grant, error) {
	rep, failed := c.do(ctx, r)
	if failed != nil {
		return Grant{}, failed
	}
	refresh, all := refreshToken(rep.body)
	c.addSecrets(all...)
	token, failed := workspaceToken(rep)
	if failed != nil {
		return Grant{}, c.fail(r, failed)
	}
	return Grant{Token: token, Refresh: refresh}, nil
}

// refreshToken takes the refresh token out of a token reply, if there is one that
// can be sent back, and every token that stands in it.
func refreshToken(body []byte) (refresh credential.Secret, all []credential.Secret) {
	var w struct {
		Access  anyText `json:"access_token"`
		Refresh anyText `json:"refresh_token"`
		ID      anyText `json:"id_token"`
	}
	if json.Unmarshal(body, &w) != nil {
		return credential.Secret{}, nil
	}
	for _, t := range []anyText{w.Access, w.Refresh, w.ID} {
		all = append(all, credential.NewSecret(string(t)))
	}
	if badToken(string(w.Refresh)) == "" {
		refresh = all[1]
	}
	return refresh, all
}

// anyText is a string; anything else reads as empty.
type anyText string

// UnmarshalJSON never fails.
func (a *anyText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*a = anyText(s)
	}
	return nil
}
