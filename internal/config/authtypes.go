package config

import (
	"fmt"
	"slices"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Authentication types that the configuration treats specially. The names of all
// types but AuthNative are those of the Databricks SDKs (databricks-sdk-go config: auth_type).
const (
	AuthM2M = "oauth-m2m"
	AuthPAT = "pat"
	// AuthNative is a Postgres role with a password, which signs in to a database and to
	// no workspace.
	AuthNative = "native"
)

// AuthType is a row of the table of authentication types.
type AuthType struct {
	Name       string // the value of --auth, and part of the key of cached tokens
	Credential string // what it signs in with, as messages call it
	Subject    string // who signs in, as messages call it
	ClientID   bool   // signs in as the service principal of --client-id; else the workspace names who signs in
	Kind       SecretKind
	Unscoped   bool // the workspace token is not requested here, so that --scope does not apply

	variables []authVariable // of one type's variables the first that is set counts
}

// authVariable is an environment variable that contains or names the credential, which may
// also be an option (see Settings) or a key of a section of a .databrickscfg.
type authVariable struct{ name, holds, key string }

// What a variable holds, as messages call it.
const (
	aSecret   = "a secret"
	aToken    = "a token"
	aPath     = "a path"
	aVariable = "the name of a variable"
)

// AuthTypeNames returns the values of --auth.
func AuthTypeNames() (names []string) {
	for _, t := range authTypes {
		names = append(names, t.Name)
	}
	return names
}

// LookupAuthType returns the row of a type; without a name that of AuthM2M.
func LookupAuthType(name string) (AuthType, bool) {
	if name == "" {
		name = AuthM2M
	}
	if i := slices.IndexFunc(authTypes, func(t AuthType) bool { return t.Name == name }); i >= 0 {
		return authTypes[i], true
	}
	return AuthType{}, false
}

// AuthType returns the configured authentication type. Without one it is the default
// of the identity: a service principal's secret for a client ID, else a user's login.
func (c *Config) AuthType() AuthType {
	name := c.Auth.Value
	if name == "" && c.ClientID.Value == "" && !c.Workspace.Value.IsZero() {
		name = "external-browser"
	}
	t, _ := LookupAuthType(name)
	return t
}

// hasClientID reports whether a type signs in as the service principal of --client-id.
func hasClientID(name string) bool {
	t, ok := LookupAuthType(name)
	return !ok || t.ClientID
}

// authOptions resolves the options of single authentication types.
func (r *resolver) authOptions() {
	r.conf.authOptions = map[string]Value[string]{}
	for _, s := range settings {
		if s.AuthType == "" {
			continue
		}
		v := getOwn(r, s.Option, oneLine)
		if !v.Given() && r.section != nil {
			v = r.section.text(s.Key)
		}
		r.conf.authOptions[s.Option] = v
	}
}

// Scopes of a workspace token (Databricks REST reference, "API scopes").
const (
	AllAPIs       = "all-apis"
	scopePostgres = "postgres" // endpoints and database credentials
)

// scope resolves the scope of the workspace token: the setting, else that of the section
// of a .databrickscfg whose credential is used.
func (r *resolver) scope() {
	c := &r.conf
	t := c.AuthType()
	c.Scope = get(r, "scope", AllAPIs, scope)
	switch {
	case c.Scope.Given() && t.Unscoped:
		fix := "leave it out"
		if !c.Native() {
			fix += ": " + t.Credential + " has the scope that it was created with"
		}
		r.fail(invalid(c.Scope.Source, fix, "cannot be used with %s, for which no token is requested", t.Name))
	case !c.Scope.Given() && !t.Unscoped && r.section != nil && r.section.text("scopes").Given():
		of := r.section.text("scopes")
		c.Scope = parsed(r, of.Value, of.Source, scope)
	}
}

// CanAskUser reports whether the workspace token may be used to ask who it belongs to.
// That SCIM Me is within the scope postgres is not certain.
func (c *Config) CanAskUser() bool { return c.Scope.Value != scopePostgres }

// CheckUserKnown returns an error if only the workspace could name the user, and the
// scope does not let it.
func (c *Config) CheckUserKnown(known bool) error {
	if known || c.CanAskUser() {
		return nil
	}
	return invalid(c.Scope.Source, "name the user with --user, or request a scope that includes SCIM Me, such as "+AllAPIs,
		"with the scope %s the workspace is not asked for the user, and none is given", c.Scope.Value)
}

// AuthOption returns the value of an option whose setting has an AuthType.
func (c *Config) AuthOption(name string) Value[string] {
	if byOption(name).AuthType == "" {
		panic("config: --" + name + " has no AuthType, so it is not in the key of cached tokens")
	}
	return c.authOptions[name]
}

// AuthOptions returns a type's options and a scope as text, for the key of cached tokens:
// with others it may sign in as another identity, or the token may do less.
func (c *Config) AuthOptions(authType string) (text string) {
	for _, s := range settings {
		if v := c.authOptions[s.Option].Value; v != "" && s.AuthType == authType {
			text += fmt.Sprintf("%s=%q ", s.Option, v)
		}
	}
	if c.Scope.Value != AllAPIs {
		text += fmt.Sprintf("scope=%q ", c.Scope.Value)
	}
	return text
}

// SecretKind is the kind of place of a credential.
type SecretKind int

// The places. SecretInKeychain is a client secret, a user's refresh token or a role's password.
const (
	SecretInKeychain SecretKind = iota
	SecretInFile
	SecretInEnvironment
	SecretInSection  // of a .databrickscfg
	SecretFromGitHub // Config.GitHub says where
	SecretElsewhere  // the strategy obtains it, such as from a program
)

// SecretSource locates a client secret, a personal access token or a workload's token.
// Text is set for SecretInEnvironment and SecretInSection, Path for SecretInFile.
type SecretSource struct {
	Kind   SecretKind
	Path   string
	Text   credential.Secret
	Source Source
}

// GitHubSource is the OIDC token service of a GitHub Actions job (GitHub documentation,
// "OpenID Connect reference"). Token authenticates to that service only.
type GitHubSource struct {
	URL   string
	Token credential.Secret
}
