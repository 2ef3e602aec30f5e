package emulator

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The words of a token exchange (RFC 8693; databricks-sdk-go
// config/experimental/auth/oidc).
const (
	grantExchangeURN = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtTokenType     = "urn:ietf:params:oauth:token-type:jwt"
)

// The issuer of workload tokens, and the subject that the federation policy admits unless
// a setting names another.
const (
	WorkloadIssuer  = "https://issuer.example.com"
	WorkloadSubject = "repo:lakebase-exec/shop:ref:refs/heads/main"
)

const defaultWorkloadLife = 10 * time.Minute

// WorkloadSpec describes a workload token.
type WorkloadSpec struct {
	Subject  string        // "" is the policy's
	Audience string        // "" is the policy's
	Issuer   string        // "" is WorkloadIssuer
	Life     time.Duration // from now; 0 is 10 min, below 0 has expired
	Foreign  bool          // signed by another key
}

// MintWorkload makes a workload token without a request.
func (l *Lakebase) MintWorkload(spec WorkloadSpec) string {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	return l.api.mintWorkload(spec)
}

func (a *api) mintWorkload(spec WorkloadSpec) string {
	s, issuer := a.settings.get(), a.issuer
	if spec.Foreign {
		issuer = newSigner()
	}
	c := claims{Issuer: cmp.Or(spec.Issuer, WorkloadIssuer), Audience: cmp.Or(spec.Audience, a.audience(s)),
		Subject: cmp.Or(spec.Subject, s.Subject, WorkloadSubject)}
	token := issuer.seal("JWT", c, s.clock(), cmp.Or(spec.Life, s.WorkloadLife, defaultWorkloadLife))
	a.remember(token)
	return token
}

// actionsPath is where the token service of a GitHub-like runner answers; GitHub's has a
// query too.
const actionsPath = "/idtoken"

// actions returns a token of the policy's subject for the audience asked for, by default
// the repository's owner, as GitHub does.
func (a *api) actions(r *http.Request, _ Settings, _ string) reply {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	query := r.URL.Query()
	switch {
	case !ok || bearer != a.actionsToken:
		return apiError(http.StatusUnauthorized, "UNAUTHENTICATED", "the request token is not this job's")
	case repeated(query) != "" || query.Get("api-version") == "":
		return apiError(http.StatusBadRequest, "BAD_REQUEST", "the query is not that of the request URL and an audience")
	}
	token := a.mintWorkload(WorkloadSpec{Audience: cmp.Or(query.Get("audience"), "https://github.com/lakebase-exec")})
	return jsonReply(http.StatusOK, map[string]any{"count": len(token), "value": token})
}

// AuthType is an authentication type, by databricks-sdk-go's name.
type AuthType string

// The types that the emulator supports.
const (
	AuthM2M        AuthType = "oauth-m2m"        // the service principal's secret
	AuthBrowser    AuthType = "external-browser" // a user, at the authorize page
	AuthEnvOIDC    AuthType = "env-oidc"         // a workload token in a variable
	AuthFileOIDC   AuthType = "file-oidc"        // the same in a file
	AuthGitHubOIDC AuthType = "github-oidc"      // the same from the Actions service
	AuthPAT        AuthType = "pat"              // a user's personal access token
)

// AuthTypes lists every type.
func AuthTypes() []AuthType {
	return []AuthType{AuthM2M, AuthBrowser, AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC, AuthPAT}
}

// Env returns the variables of the Databricks guide for this emulator, and those
// that name its CA, as NAME=VALUE with the client secret. An instance, if there is
// one, replaces the endpoint. LOCAL_LAKEBASE_USER is the user of the browser login.
func (l *Lakebase) Env() []string {
	env, _ := l.EnvFor(AuthM2M, WorkloadSpec{}) // writes no file
	return env
}

// EnvFor returns the variables of an authentication type and of no other. spec describes
// the workload token; other types ignore it.
func (l *Lakebase) EnvFor(auth AuthType, spec WorkloadSpec) ([]string, error) {
	target := "ENDPOINT_NAME=" + l.Endpoint
	if l.Instance != "" {
		target = "LAKEBASE_INSTANCE=" + l.Instance
	}
	env := []string{"DATABRICKS_HOST=" + l.WorkspaceURL(), target, "PGHOST=localhost", "PGPORT=" + l.PGPort(), "PGDATABASE=" + l.Database,
		"PGSSLROOTCERT=" + l.caFile, "LAKEBASE_CACERT=" + l.caFile, "LOCAL_LAKEBASE_USER=" + l.User}
	switch auth {
	case AuthBrowser:
		return append(env, "PGUSER="+l.User), nil
	case AuthPAT:
		return append(env, "PGUSER="+l.User, "DATABRICKS_TOKEN="+l.PAT()), nil
	}
	env = append(env, "PGUSER="+l.ClientID, "DATABRICKS_CLIENT_ID="+l.ClientID)
	switch auth {
	case AuthM2M:
		return append(env, "DATABRICKS_CLIENT_SECRET="+l.ClientSecret), nil
	case AuthGitHubOIDC:
		return append(env, "ACTIONS_ID_TOKEN_REQUEST_URL="+l.WorkspaceURL()+actionsPath+"?api-version=2.0",
			"ACTIONS_ID_TOKEN_REQUEST_TOKEN="+l.api.actionsToken), nil
	case AuthEnvOIDC:
		return append(env, "DATABRICKS_OIDC_TOKEN="+l.MintWorkload(spec)), nil
	case AuthFileOIDC:
		path := filepath.Join(l.Dir(), "workload-token")
		return append(env, "DATABRICKS_OIDC_TOKEN_FILEPATH="+path), os.WriteFile(path, []byte(l.MintWorkload(spec)+"\n"), 0o600)
	}
	return nil, fmt.Errorf("emulator: %q is none of %v", auth, AuthTypes())
}
