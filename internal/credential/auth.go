package credential

import "slices"

// The ways to sign in, in the words of the Databricks SDKs (databricks-sdk-go,
// config: auth_type). They are also the Identity of a Key.
const (
	AuthM2M        = "oauth-m2m"        // a service principal's client id and secret
	AuthBrowser    = "external-browser" // a person, by a refresh token of an earlier login
	AuthEnvOIDC    = "env-oidc"         // a workload's token that stands in a variable
	AuthFileOIDC   = "file-oidc"        // a workload's token that stands in a file
	AuthGitHubOIDC = "github-oidc"      // a workload's token that GitHub Actions issues
	AuthPAT        = "pat"              // a personal access token
	AuthCLI        = "databricks-cli"   // what "databricks auth token" prints
)

var (
	workloads = []string{AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC}
	persons   = []string{AuthBrowser, AuthPAT, AuthCLI}
)

// AuthWords lists the ways.
func AuthWords() []string {
	return []string{AuthM2M, AuthBrowser, AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC, AuthPAT, AuthCLI}
}

// IsWorkload says whether a way exchanges a workload's own token, with no secret.
func IsWorkload(auth string) bool { return slices.Contains(workloads, auth) }

// IsPerson says whether the workspace alone knows who signs in that way: it is a
// person as a rule, and no client id stands beside it.
func IsPerson(auth string) bool { return slices.Contains(persons, auth) }
