package emulator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Way is a way into the workspace, by databricks-sdk-go's name.
type Way string

// The ways for which the emulator has what a program needs.
const (
	WayM2M        Way = "oauth-m2m"        // the service principal's secret
	WayBrowser    Way = "external-browser" // a person, at the authorize page
	WayEnvOIDC    Way = "env-oidc"         // a workload token in a variable
	WayFileOIDC   Way = "file-oidc"        // the same in a file
	WayGitHubOIDC Way = "github-oidc"      // the same from the Actions service
	WayPAT        Way = "pat"              // a person's personal access token
)

// Ways lists every one.
func Ways() []Way {
	return []Way{WayM2M, WayBrowser, WayEnvOIDC, WayFileOIDC, WayGitHubOIDC, WayPAT}
}

// EnvFor is Env for another way in: the variables of that way alone, so that
// they name one way and its identity. The workload token is as spec says; other
// ways do not look at it.
func (l *Lakebase) EnvFor(way Way, spec WorkloadSpec) ([]string, error) {
	machine := append(l.target(), "DATABRICKS_CLIENT_ID="+l.ClientID, "PGUSER="+l.ClientID)
	switch way {
	case WayM2M:
		return l.Env(), nil
	case WayBrowser:
		return append(l.target(), "PGUSER="+l.Person), nil
	case WayPAT:
		return append(l.target(), "PGUSER="+l.Person, "DATABRICKS_TOKEN="+l.PAT()), nil
	case WayGitHubOIDC:
		url := l.ActionsURL()
		if url == "" {
			return nil, errors.New("emulator: the Actions service does not listen")
		}
		return append(machine, "ACTIONS_ID_TOKEN_REQUEST_URL="+url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN="+l.ActionsToken()), nil
	case WayEnvOIDC, WayFileOIDC:
		token, err := l.MintWorkload(spec)
		if err != nil {
			return nil, err
		}
		if way == WayEnvOIDC {
			return append(machine, "DATABRICKS_OIDC_TOKEN="+token), nil
		}
		path := filepath.Join(l.Dir(), "workload-token")
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			return nil, err
		}
		return append(machine, "DATABRICKS_OIDC_TOKEN_FILEPATH="+path), nil
	}
	return nil, fmt.Errorf("emulator: %q is none of %v", way, Ways())
}
