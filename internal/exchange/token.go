package exchange

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const (
	// publicClient is the OAuth client of user logins. It has no secret
	// (databricks-sdk-go credentials/u2m).
	publicClient = "databricks-cli"
	allAPIs      = "all-apis"

	// defaultLifetime is assumed where a reply has no lifetime: the API's minimum
	// (databricks-sdk-go service/postgres).
	defaultLifetime = 5 * time.Minute
)

// Grant is the result of a user login: a workspace token, and a refresh token for the
// next one. Refresh is zero where the workspace gave none, or none that is valid; the
// old one then stays in use (RFC 6749 6).
type Grant struct {
	Token   credential.Token
	Refresh credential.Secret
}

// WorkspaceToken exchanges a service principal's secret for a workspace token, by the
// client credentials grant with HTTP Basic (RFC 6749 2.3.1 and 4.4). The error is an
// *Error, as of all methods of Client.
func (c *Client) WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error) {
	// The RFC form-encodes both first, which leaves a UUID and a Databricks secret unchanged.
	pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(secret.Reveal())
	basic := base64.StdEncoding.EncodeToString([]byte(pair))
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {c.options.Scope}}
	r := c.formRequest(CallWorkspaceToken, form, secret, credential.NewSecret(basic))
	r.Header.Set("Authorization", "Basic "+basic)
	g, err := c.grant(ctx, r)
	return g.Token, err
}

// AuthorizeURL returns the address at which a user signs in: the authorization request
// of RFC 6749 4.1.1 with PKCE's S256 challenge (RFC 7636 4.3). It holds no secret, and
// nothing is sent.
func (c *Client) AuthorizeURL(state, challenge, redirectURI string) string {
	u := c.base
	u.Path = c.endpoints().authorize
	u.RawQuery = url.Values{
		"response_type": {"code"}, "client_id": {publicClient}, "redirect_uri": {redirectURI}, "scope": {c.userScope()},
		"state": {state}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
	return u.String()
}

// userScope adds the scope that a refresh token needs (databricks-sdk-go credentials/u2m).
func (c *Client) userScope() string { return "offline_access " + c.options.Scope }

// CodeToken exchanges an authorization code for a grant (RFC 6749 4.1.3, RFC 7636
// 4.5). redirectURI is the one given to AuthorizeURL. A code is good for one use: see
// Error.Verdict.
func (c *Client) CodeToken(ctx context.Context, code, verifier credential.Secret, redirectURI string) (Grant, error) {
	r := c.formRequest(CallCode, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {publicClient}, "code": {code.Reveal()},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier.Reveal()},
	}, code, verifier)
	return c.grant(ctx, r)
}

// RefreshedToken exchanges a refresh token for a new grant (RFC 6749 6). The workspace
// may invalidate the old one when it returns a new one: store that before anything
// else, and never refresh concurrently. Without a scope the new token has that of the login.
func (c *Client) RefreshedToken(ctx context.Context, refresh credential.Secret) (Grant, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {publicClient}, "refresh_token": {refresh.Reveal()}}
	if c.options.Scope != allAPIs {
		form.Set("scope", c.userScope())
	}
	r := c.formRequest(CallRefresh, form, refresh)
	return c.grant(ctx, r)
}

// FederatedToken exchanges a workload's token for a workspace token (RFC 8693,
// databricks-sdk-go config/experimental/auth/oidc). An empty client ID is omitted: the
// account's federation policy then determines the identity.
func (c *Client) FederatedToken(ctx context.Context, clientID string, subject credential.Secret) (credential.Token, error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token":      {subject.Reveal()}, "scope": {c.options.Scope},
	}
	if clientID != "" {
		form.Set("client_id", clientID)
	}
	r := c.formRequest(CallFederation, form, subject)
	g, err := c.grant(ctx, r)
	return g.Token, err
}

// grant makes a call to the token endpoint and reads its reply (RFC 6749 5.1), all of
// whose tokens are redacted from then on.
func (c *Client) grant(ctx context.Context, r request) (Grant, error) {
	var w struct {
		AccessToken  string     `json:"access_token"`
		TokenType    string     `json:"token_type"`
		ExpiresIn    flexString `json:"expires_in"`
		RefreshToken flexString `json:"refresh_token"`
		IDToken      flexString `json:"id_token"`
	}
	rep, failed := c.do(ctx, r, &w)
	refresh := credential.NewSecret(string(w.RefreshToken))
	c.addSecrets(credential.NewSecret(w.AccessToken), refresh, credential.NewSecret(string(w.IDToken)))
	switch problem := badToken(w.AccessToken); {
	case failed != nil:
		return Grant{}, failed
	case problem != "":
		return Grant{}, c.badReply(r, "its access_token "+problem)
	case w.TokenType != "" && !strings.EqualFold(w.TokenType, "Bearer"):
		return Grant{}, c.badReply(r, "its token_type is not Bearer")
	case badToken(refresh.Reveal()) != "":
		refresh = credential.Secret{}
	}
	expiresIn, _ := strconv.Atoi(string(w.ExpiresIn)) // 0 where it is no whole number
	lifetime := time.Duration(min(expiresIn, int(credential.MaxLife/time.Second))) * time.Second
	return Grant{Token: newToken(w.AccessToken, rep.sentAt, lifetime), Refresh: refresh}, nil
}

// DatabaseCredential creates the token that is the Postgres password for a target; see
// Endpoint. A ttl of 0 leaves the lifetime to the server, which accepts 5 minutes to 1
// hour (databricks-sdk-go service/postgres); an instance's token has no ttl. The lifetime
// is expire_time less the server's time.
func (c *Client) DatabaseCredential(ctx context.Context, bearer credential.Secret, target string, ttl time.Duration) (credential.Token, error) {
	r := c.databaseCredentialRequest(bearer, target, ttl)
	var w struct {
		Token          string     `json:"token"`
		ExpireTime     flexString `json:"expire_time"`
		ExpirationTime flexString `json:"expiration_time"` // of an instance
	}
	rep, failed := c.do(ctx, r, &w)
	if failed != nil {
		return credential.Token{}, failed
	}
	if why := badToken(w.Token); why != "" {
		return credential.Token{}, c.badReply(r, "its token "+why)
	}
	c.addSecrets(credential.NewSecret(w.Token))
	var lifetime time.Duration
	if expires, err := time.Parse(time.RFC3339, string(cmp.Or(w.ExpireTime, w.ExpirationTime))); err == nil {
		if lifetime = expires.Sub(rep.date); lifetime <= 0 {
			return credential.Token{}, c.badReply(r, "its expire_time has passed")
		}
	}
	return newToken(w.Token, rep.sentAt, lifetime), nil
}

func (c *Client) databaseCredentialRequest(bearer credential.Secret, target string, ttl time.Duration) request {
	if instance, ok := strings.CutPrefix(target, credential.InstancePrefix); ok {
		body := map[string]any{"request_id": newUUID(), "instance_names": []string{instance}}
		return c.apiRequest(CallInstanceCredential, http.MethodPost, "/api/2.0/database/credentials", bearer, body)
	}
	body := map[string]any{"endpoint": target}
	if ttl > 0 {
		body["ttl"] = strconv.FormatFloat(ttl.Seconds(), 'f', -1, 64) + "s"
	}
	return c.apiRequest(CallDatabaseCredential, http.MethodPost, "/api/2.0/postgres/credentials", bearer, body)
}

// newToken counts the lifetime from sentAt: the server created the token later, so it
// never expires before ExpiresAt. A lifetime of 0 is not known.
func newToken(value string, sentAt time.Time, lifetime time.Duration) credential.Token {
	if lifetime <= 0 {
		lifetime = defaultLifetime
	}
	return credential.Token{Value: credential.NewSecret(value), MintedAt: sentAt, ExpiresAt: sentAt.Add(min(lifetime, credential.MaxLife))}
}

// GitHubToken requests a GitHub Actions job's token for the audience from its OIDC token
// service, in one attempt (GitHub, "OpenID Connect reference"). address and bearer are
// ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN; nothing is sent to another host. The
// error is an *Error and names the service's host.
func (c *Client) GitHubToken(ctx context.Context, address string, bearer credential.Secret, audience string) (credential.Secret, error) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		u = &url.URL{} // which New rejects without quoting the address
	}
	o := c.options
	o.Host, o.WorkspaceID = u.Scheme+"://"+u.Host, ""
	c, err = New(o)
	if err != nil {
		return credential.Secret{}, &Error{Call: CallGitHub, Kind: KindRefused, Message: "not sent: " + err.Error(), NotSent: true}
	}
	defer c.Close()
	r := c.apiRequest(CallGitHub, http.MethodGet, "", bearer, nil)
	query := u.Query()
	query.Set("audience", audience)
	r.URL = u
	r.URL.RawQuery = query.Encode()
	var w struct{ Value string }
	if _, failed := c.do(ctx, r, &w); failed != nil {
		return credential.Secret{}, failed
	}
	if problem := badToken(w.Value); problem != "" {
		return credential.Secret{}, c.badReply(r, "its value "+problem)
	}
	return credential.NewSecret(w.Value), nil
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
