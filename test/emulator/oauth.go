package emulator

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// publicClient is the client of users, without a secret (databricks-sdk-go
// credentials/u2m).
const publicClient = "databricks-cli"

// token is POST to the token endpoint, whatever the grant.
func (a *api) token(r *http.Request, s Settings, _ string) reply {
	if err := r.ParseForm(); err != nil {
		return invalidRequest("The request body is not a form")
	}
	if name := repeated(r.PostForm); name != "" {
		return invalidRequest("The parameter " + name + " is repeated")
	}
	grant := Grant(r.PostForm.Get("grant_type"))
	var rep reply
	switch grant {
	case GrantCode:
		rep = a.codeGrant(r, s)
	case GrantRefresh:
		rep = a.refreshGrant(r, s)
	case grantExchangeURN:
		grant, rep = GrantExchange, a.exchangeGrant(r, s)
	default:
		rep = a.secretGrant(r, s)
	}
	if slices.Contains(Grants(), grant) {
		a.record.grant(grant, rep.status == http.StatusOK)
	}
	return rep
}

// repeated names a parameter that comes twice, which RFC 6749, 3.2, forbids.
func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) > 1 {
			return name
		}
	}
	return ""
}

// secretGrant is the client credentials grant (Databricks, "Connect an external
// app to Lakebase by API").
func (a *api) secretGrant(r *http.Request, s Settings) reply {
	id, secret, ok := r.BasicAuth()
	scope := r.PostForm.Get("scope")
	switch {
	case !ok:
		return invalidClient("Missing client authentication")
	case s.SecretRevoked || !a.signsIn(id, secret, s.clock()):
		return invalidClient("Client authentication failed")
	case r.PostForm.Get("grant_type") != string(GrantClientCredentials):
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type")
	case !validScope(scope):
		return invalidScope()
	case s.SecretScope != "" && !includes(s.SecretScope, scope): // databricks/databricks-sql-go#476
		return oauthError(http.StatusBadRequest, "access_denied", "Scopes '"+scope+"' are not assigned to the secret")
	}
	return a.granted(s, id, "", scope, "")
}

// codeGrant is the authorization code grant of the public client, with PKCE.
func (a *api) codeGrant(r *http.Request, s Settings) reply {
	if !isPublicClient(r) {
		return invalidClient("Client authentication failed")
	}
	form := r.PostForm
	c, wrong := a.redeem(form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier"), s.clock())
	if wrong != "" {
		return invalidGrant(wrong)
	}
	refresh := ""
	if slices.Contains(strings.Fields(c.family.scope), "offline_access") {
		refresh = a.issueRefresh(c.family, s)
	}
	return a.granted(s, c.family.user, publicClient, c.family.scope, refresh)
}

// refreshGrant is the refresh of a user's token, which may narrow its scope (RFC 6749 6).
func (a *api) refreshGrant(r *http.Request, s Settings) reply {
	if !isPublicClient(r) {
		return invalidClient("Client authentication failed")
	}
	login, next := a.useRefresh(r.PostForm.Get("refresh_token"), s)
	switch {
	case login == nil && s.RefreshInvalidGrant:
		return invalidGrant("Refresh token is invalid")
	case login == nil: // as a fixture of databricks/cli has it
		return oauthError(http.StatusUnauthorized, "invalid_request", "Refresh token is invalid")
	}
	scope := cmp.Or(login.scope, "offline_access "+allAPIs)
	if asked := r.PostForm.Get("scope"); asked != "" {
		if !validScope(asked) || !includes(scope, asked) {
			return invalidScope()
		}
		scope = asked
	}
	return a.granted(s, login.user, publicClient, scope, next)
}

// isPublicClient reports whether the client is the public one, without a secret.
func isPublicClient(r *http.Request) bool {
	_, _, basic := r.BasicAuth()
	return !basic && !r.PostForm.Has("client_secret") && r.PostForm.Get("client_id") == publicClient
}

// exchangeGrant returns a workspace token for a workload's own: by the policy of the
// service principal that client_id names, or without one by the account's, whose subject
// is a user.
func (a *api) exchangeGrant(r *http.Request, s Settings) reply {
	form := r.PostForm
	client := form.Get("client_id")
	_, _, basic := r.BasicAuth()
	switch {
	case basic:
		return invalidClient("A token exchange has no client secret")
	case form.Get("subject_token_type") != jwtTokenType:
		return invalidRequest("subject_token_type is not " + jwtTokenType)
	case form.Get("subject_token") == "":
		return invalidRequest("subject_token is missing")
	case !validScope(form.Get("scope")):
		return invalidScope()
	case client != "" && client != a.clientID:
		return invalidClient("No federation policy of such a service principal")
	}
	c, err := a.issuer.verify(form.Get("subject_token"), "", s.clock())
	switch {
	case errors.Is(err, errExpiredJWT):
		return invalidGrant("The token has expired")
	case errors.Is(err, errSignature):
		return invalidGrant("The token's signature does not verify")
	case err != nil:
		return invalidGrant("The token is not a JWT")
	case c.Issuer != WorkloadIssuer:
		return invalidGrant("The token's issuer does not match the federation policy")
	case c.Audience != a.audience(s):
		return invalidGrant("The token's audience does not match the federation policy")
	case client == "" && !a.isUser(c.Subject):
		return invalidGrant("The token's subject is no user of the account")
	case client != "" && c.Subject != cmp.Or(s.Subject, WorkloadSubject):
		return invalidGrant("The token's subject does not match the federation policy")
	}
	return a.granted(s, cmp.Or(client, c.Subject), "", form.Get("scope"), "")
}

// granted is the reply with a workspace token; client is "" for the subject itself.
func (a *api) granted(s Settings, subject, client, scope, refresh string) reply {
	life := cmp.Or(s.WorkspaceTokenLife, time.Hour)
	token := a.sign.mint(claims{Kind: WorkspaceToken, Subject: subject, ClientID: client, Scope: scope}, s.clock(), life)
	body := map[string]any{"access_token": token, "scope": scope, "token_type": "Bearer", "expires_in": int(life / time.Second)}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	rep := jsonReply(http.StatusOK, body)
	rep.header.Set("Cache-Control", "no-store")
	return rep
}

// Scopes of the API (Databricks REST reference, "API scopes").
const (
	allAPIs             = "all-apis"
	scopePostgres       = "postgres"
	scopeAccess         = "access-management"
	scopeAuthentication = "authentication"
)

// validScope reports whether a client can ask for a scope.
func validScope(scope string) bool {
	words := slices.DeleteFunc(strings.Fields(scope), func(w string) bool { return w == "offline_access" })
	unknown := func(w string) bool {
		return !slices.Contains([]string{allAPIs, scopePostgres, scopeAccess, scopeAuthentication, "sql"}, w)
	}
	return len(words) > 0 && !slices.ContainsFunc(words, unknown)
}

// includes reports whether scope has all words of asked.
func includes(scope, asked string) bool {
	has := strings.Fields(scope)
	missing := func(w string) bool { return !slices.Contains(has, w) && !slices.Contains(has, allAPIs) }
	return !slices.ContainsFunc(strings.Fields(asked), missing)
}

func invalidScope() reply {
	return oauthError(http.StatusBadRequest, "invalid_scope", "The requested scope is invalid")
}

func oauthError(status int, code, description string) reply {
	return jsonReply(status, map[string]string{"error": code, "error_id": newUUID(), "error_description": description})
}

func invalidRequest(why string) reply {
	return oauthError(http.StatusBadRequest, "invalid_request", why)
}
func invalidGrant(why string) reply { return oauthError(http.StatusBadRequest, "invalid_grant", why) }
func invalidClient(why string) reply {
	return oauthError(http.StatusUnauthorized, "invalid_client", why)
}

// The IDs of the workspace and its account.
const (
	accountID   = "7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11"
	workspaceID = "7405606120045173"
)

// The well-known documents (databricks-sdk-go config/host_metadata.go, RFC 8414).
const (
	configPath = "/.well-known/databricks-config"
	serverPath = "/.well-known/oauth-authorization-server"
)

// oidcRoot is where the endpoints for tokens live: the workspace's, or on a
// unified host the account's.
func oidcRoot(s Settings) string {
	if s.Unified {
		return "/oidc/accounts/" + accountID
	}
	return "/oidc"
}

// atRoot passes on the calls under the root that works; under another one a host answers
// with its login page.
func atRoot(h handler) handler {
	return func(r *http.Request, s Settings, caller string) reply {
		if !strings.HasPrefix(r.URL.Path, oidcRoot(s)+"/") || !s.Unified && r.PathValue("account") != "" {
			page := HTML(CallToken)
			return reply{status: page.Status, header: page.Header, body: []byte(page.Body)}
		}
		return h(r, s, caller)
	}
}

// audience is what the federation policy wants: by default the URL of the token endpoint
// that works.
func (a *api) audience(s Settings) string {
	return cmp.Or(s.Audience, a.url+oidcRoot(s)+"/v1/token")
}

// discovery answers at serverPath.
func (a *api) discovery(_ *http.Request, s Settings, _ string) reply {
	oidc := a.url + oidcRoot(s)
	return jsonReply(http.StatusOK, map[string]any{
		"issuer":                 oidc,
		"authorization_endpoint": cmp.Or(s.ForeignAuthorizationEndpoint, oidc+"/v1/authorize"),
		"token_endpoint":         cmp.Or(s.ForeignTokenEndpoint, oidc+"/v1/token"),
	})
}

// hostConfig answers at configPath.
func (a *api) hostConfig(_ *http.Request, s Settings, _ string) reply {
	config := map[string]any{"account_id": accountID, "cloud": "AWS", "host_type": "workspace"}
	oidc := a.url + oidcRoot(s)
	if s.Unified { // which serves many workspaces
		config["host_type"] = "unified"
		if s.AccountPlaceholder {
			oidc = a.url + "/oidc/accounts/{account_id}"
		}
	} else {
		config["workspace_id"] = workspaceID
	}
	config["oidc_endpoint"] = cmp.Or(s.ForeignOIDCEndpoint, oidc)
	audiences := s.Audiences
	if audiences == nil {
		audiences = []string{a.audience(s)}
	}
	if len(audiences) > 0 {
		config["token_federation_default_oidc_audiences"] = audiences
	}
	return jsonReply(http.StatusOK, config)
}
