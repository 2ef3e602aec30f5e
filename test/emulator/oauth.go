package emulator

import (
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
func (a *api) token(r *http.Request, s Settings) reply {
	if err := r.ParseForm(); err != nil {
		return invalidRequest("The request body is not a form")
	}
	if !a.rightRoot(r.URL.Path, s) {
		return loginPage()
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
	switch {
	case !ok:
		return invalidClient("Missing client authentication")
	case s.SecretRevoked || !a.principals.signsIn(id, secret, s.clock()):
		return invalidClient("Client authentication failed")
	case r.PostForm.Get("grant_type") != string(GrantClientCredentials):
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type")
	case r.PostForm.Get("scope") != "all-apis":
		return oauthError(http.StatusBadRequest, "invalid_scope", "The requested scope is invalid")
	}
	return a.granted(s, id, "", "all-apis", "")
}

// codeGrant is the authorization code grant of the public client, with PKCE.
func (a *api) codeGrant(r *http.Request, s Settings) reply {
	if !isPublicClient(r) {
		return invalidClient("Client authentication failed")
	}
	form := r.PostForm
	c, wrong := a.sessions.redeem(form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier"), s.clock())
	if wrong != "" {
		return invalidGrant(wrong)
	}
	refresh := ""
	if hasScope(c.scope, "offline_access") {
		refresh = a.sessions.issue(c.family, s)
	}
	return a.granted(s, c.family.user, publicClient, c.scope, refresh)
}

// refreshGrant is the refresh of a user's token.
func (a *api) refreshGrant(r *http.Request, s Settings) reply {
	if !isPublicClient(r) {
		return invalidClient("Client authentication failed")
	}
	user, next, ok := a.sessions.renew(r.PostForm.Get("refresh_token"), s)
	switch {
	case !ok && s.RefreshInvalidGrant:
		return invalidGrant("Refresh token is invalid")
	case !ok: // as a fixture of databricks/cli has it
		return oauthError(http.StatusUnauthorized, "invalid_request", "Refresh token is invalid")
	}
	return a.granted(s, user, publicClient, "offline_access all-apis", next)
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
	case form.Get("scope") != "all-apis":
		return oauthError(http.StatusBadRequest, "invalid_scope", "The requested scope is invalid")
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
	case client == "" && !a.principals.get(c.Subject).user:
		return invalidGrant("The token's subject is no user of the account")
	case client != "" && c.Subject != orDefault(s.Subject, WorkloadSubject):
		return invalidGrant("The token's subject does not match the federation policy")
	}
	return a.granted(s, orDefault(client, c.Subject), "", "all-apis", "")
}

// granted is the reply with a workspace token; client is "" for the subject itself.
func (a *api) granted(s Settings, subject, client, scope, refresh string) reply {
	life := lifeOr(s.WorkspaceTokenLife, time.Hour)
	now := s.clock()
	token := a.sign.mint(ticket{kind: WorkspaceToken, subject: subject, client: client, issued: now, expires: now.Add(life)})
	body := map[string]any{"access_token": token, "scope": scope, "token_type": "Bearer"}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	seconds := int(life / time.Second)
	switch s.ExpiresIn {
	case Missing:
	case String:
		body["expires_in"] = "3600"
	case Zero:
		body["expires_in"] = 0
	case Negative:
		body["expires_in"] = -seconds
	default:
		body["expires_in"] = seconds
	}
	rep := jsonReply(http.StatusOK, body)
	rep.header.Set("Cache-Control", "no-store")
	return rep
}

func hasScope(scope, one string) bool { return slices.Contains(strings.Fields(scope), one) }

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
