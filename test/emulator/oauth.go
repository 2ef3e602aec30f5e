package emulator

import (
	"net/http"
	"strings"
	"time"
)

// token is POST /oidc/v1/token with the client credentials grant (Databricks,
// "Connect an external app to Lakebase by API").
func (a *api) token(r *http.Request, s Switches) reply {
	if err := r.ParseForm(); err != nil {
		return oauthError(http.StatusBadRequest, "invalid_request", "The request body is not a form")
	}
	id, secret, ok := r.BasicAuth()
	switch {
	case !ok:
		return oauthError(http.StatusUnauthorized, "invalid_client", "Missing client authentication")
	case s.SecretRevoked || !a.people.check(id, secret, s.clock()):
		return oauthError(http.StatusUnauthorized, "invalid_client", "Client authentication failed")
	case r.PostForm.Get("grant_type") != "client_credentials":
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type")
	case r.PostForm.Get("scope") != "all-apis":
		return oauthError(http.StatusBadRequest, "invalid_scope", "The requested scope is invalid")
	}
	life := lifeOr(s.WorkspaceTokenLife, time.Hour)
	now := s.clock()
	token, err := a.sign.mint(WorkspaceToken, id, now, now.Add(life))
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", "token could not be signed")
	}
	body := map[string]any{"access_token": token, "scope": "all-apis", "token_type": "Bearer"}
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
	return jsonReply(http.StatusOK, body)
}

func oauthError(status int, code, description string) reply {
	return jsonReply(status, map[string]string{"error": code, "error_id": newUUID(), "error_description": description})
}

// discovery answers the two documents that databricks-sdk-go asks for before it
// mints a token.
func (a *api) discovery(r *http.Request) reply {
	oidc := a.url + "/oidc"
	if strings.HasSuffix(r.URL.Path, "/databricks-config") {
		return jsonReply(http.StatusOK, map[string]any{
			"oidc_endpoint": oidc, "account_id": "7f2d9c1e-5b34-4c0a-9a51-0c6f3b8e2d11", "workspace_id": "7405606120045173",
			"cloud": "AWS", "host_type": "workspace",
		})
	}
	return jsonReply(http.StatusOK, map[string]any{
		"issuer": oidc, "authorization_endpoint": oidc + "/v1/authorize", "token_endpoint": oidc + "/v1/token",
		"jwks_uri":                              oidc + "/jwks.json",
		"grant_types_supported":                 []string{"client_credentials"},
		"scopes_supported":                      []string{"all-apis"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	})
}
