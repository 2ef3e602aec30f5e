package credential

import "slices"

// Authentication types, named as in the Databricks SDKs (databricks-sdk-go, config:
// auth_type). They are also the Identity of a Key.
const (
	AuthM2M        = "oauth-m2m"        // a service principal's client ID and secret
	AuthBrowser    = "external-browser" // a user's refresh token from an earlier login
	AuthEnvOIDC    = "env-oidc"         // a workload's token in a variable
	AuthFileOIDC   = "file-oidc"        // a workload's token in a file
	AuthGitHubOIDC = "github-oidc"      // a workload's token from GitHub Actions
	AuthPAT        = "pat"              // a personal access token
	AuthCLI        = "databricks-cli"   // the output of "databricks auth token"
)

// AuthTypes lists the authentication types.
func AuthTypes() []string {
	return []string{AuthM2M, AuthBrowser, AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC, AuthPAT, AuthCLI}
}

// IsWorkload reports whether a type exchanges a workload's own token, without a secret.
func IsWorkload(auth string) bool {
	return slices.Contains([]string{AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC}, auth)
}

// IsUser reports whether a type has no client ID: the workspace determines the identity,
// usually a user's, from the token.
func IsUser(auth string) bool {
	return slices.Contains([]string{AuthBrowser, AuthPAT, AuthCLI}, auth)
}
