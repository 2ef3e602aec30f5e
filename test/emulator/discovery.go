package emulator

import (
	"net/http"
	"strings"
)

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

// oidcPath returns what follows the root, of a workspace or of any account.
func oidcPath(path string) string {
	rest, ok := strings.CutPrefix(path, "/oidc")
	if !ok {
		return ""
	}
	if account, ok := strings.CutPrefix(rest, "/accounts/"); ok {
		_, rest, _ = strings.Cut(account, "/")
		return "/" + rest
	}
	return rest
}

// rightRoot reports whether the path is under the root that works.
func (a *api) rightRoot(path string, s Settings) bool {
	return path == oidcRoot(s)+oidcPath(path)
}

// loginPage is what a host answers under a path that is not its own.
func loginPage() reply {
	page := HTML(CallToken)
	return reply{status: page.Status, header: page.Header, body: []byte(page.Body)}
}

// audience is what the federation policy wants: by default the URL of the token endpoint
// that works.
func (a *api) audience(s Settings) string {
	return orDefault(s.Audience, a.url+oidcRoot(s)+"/v1/token")
}

// discovery answers the two documents that databricks-sdk-go asks for before it
// mints a token.
func (a *api) discovery(r *http.Request, s Settings) reply {
	if r.URL.Path == configPath {
		return jsonReply(http.StatusOK, a.hostConfig(s))
	}
	if !a.rightRoot(r.URL.Path, s) {
		return loginPage()
	}
	oidc := a.url + oidcRoot(s)
	return jsonReply(http.StatusOK, map[string]any{
		"issuer":                                oidc,
		"authorization_endpoint":                orDefault(s.ForeignAuthorizationEndpoint, oidc+"/v1/authorize"),
		"token_endpoint":                        orDefault(s.ForeignTokenEndpoint, oidc+"/v1/token"),
		"jwks_uri":                              oidc + "/jwks.json",
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{string(GrantClientCredentials), string(GrantCode), string(GrantRefresh), grantExchangeURN},
		"code_challenge_methods_supported":      []string{"S256"},
		"scopes_supported":                      []string{"all-apis", "offline_access"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "none"},
	})
}

// hostConfig is what a host says of itself.
func (a *api) hostConfig(s Settings) map[string]any {
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
	config["oidc_endpoint"] = orDefault(s.ForeignOIDCEndpoint, oidc)
	audiences := s.Audiences
	if audiences == nil {
		audiences = []string{a.audience(s)}
	}
	if len(audiences) > 0 {
		config["token_federation_default_oidc_audiences"] = audiences
	}
	return config
}
