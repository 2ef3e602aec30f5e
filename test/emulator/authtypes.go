package emulator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

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

// EnvFor returns the variables of an authentication type and of no other. spec describes
// the workload token; other types ignore it.
func (l *Lakebase) EnvFor(auth AuthType, spec WorkloadSpec) ([]string, error) {
	machine := append(l.target(), "DATABRICKS_CLIENT_ID="+l.ClientID, "PGUSER="+l.ClientID)
	switch auth {
	case AuthM2M:
		return l.Env(), nil
	case AuthBrowser:
		return append(l.target(), "PGUSER="+l.User), nil
	case AuthPAT:
		return append(l.target(), "PGUSER="+l.User, "DATABRICKS_TOKEN="+l.PAT()), nil
	case AuthGitHubOIDC:
		url := l.ActionsURL()
		if url == "" {
			return nil, errors.New("emulator: the Actions service does not listen")
		}
		return append(machine, "ACTIONS_ID_TOKEN_REQUEST_URL="+url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+l.ActionsToken()), nil
	case AuthEnvOIDC, AuthFileOIDC:
		token, err := l.MintWorkload(spec)
		if err != nil {
			return nil, err
		}
		if auth == AuthEnvOIDC {
			return append(machine, "DATABRICKS_OIDC_TOKEN="+token), nil
		}
		path := filepath.Join(l.Dir(), "workload-token")
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			return nil, err
		}
		return append(machine, "DATABRICKS_OIDC_TOKEN_FILEPATH="+path), nil
	}
	return nil, fmt.Errorf("emulator: %q is none of %v", auth, AuthTypes())
}
