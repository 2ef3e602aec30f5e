package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
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
		c.Scope = parsed(r, r.section.text("scopes"), scope)
	}
}

// CanAskUser returns why the workspace token may not be used to ask who it belongs to:
// that SCIM Me is within the scope postgres is not certain.
func (c *Config) CanAskUser() error {
	if c.Scope.Value != scopePostgres {
		return nil
	}
	return invalid(c.Scope.Source, "name the user with --user, or request a scope that includes SCIM Me, such as "+AllAPIs,
		"with the scope %s the workspace is not asked for the user, and none is given", c.Scope.Value)
}

// AuthOption returns the value of an option whose setting has an AuthType.
func (c *Config) AuthOption(name string) Value[string] {
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

// candidate is a configured credential, and the authentication type that it implies.
type candidate struct {
	auth  string // name of an AuthType
	from  Source
	holds string // aSecret, aToken, aPath or aVariable
	value string
}

// auth selects the authentication type: the stated one, else that of a configured
// credential, else the section's. Credentials of two types are an error. Without any
// of them the keychain decides.
func (r *resolver) auth() {
	c := &r.conf
	stated := getOwn(r, "auth", authType)
	found := r.candidates(stated.Given())
	switch {
	case stated.Given():
		c.Auth = stated
	case len(found) > 0:
		c.Auth = Value[string]{found[0].auth, found[0].from}
	case r.section != nil && r.section.text("auth_type").Given():
		c.Auth = parsed(r, r.section.text("auth_type"), authType)
	}
	for _, w := range found {
		switch {
		case w.auth == c.Auth.Value && c.Secret.Source.Origin == FromDefault:
			c.Secret = r.read(w)
		case w.auth == c.Auth.Value:
			r.note(w.from.String(), "not used: "+c.Secret.Source.String()+" takes precedence")
		case !stated.Given() || w.from.Origin == FromOption: // the option of a credential is never ignored
			r.fail(invalid(c.Auth.Source, "choose with --auth "+c.Auth.Value+" or --auth "+w.auth+", or leave one of them out",
				"selects %s, but %s selects %s", c.Auth.Value, w.from, w.auth))
		default:
			r.note(w.from.String(), "not used: "+stated.Source.String()+" says "+stated.Value)
		}
	}
	r.dropClientID()
}

// authType validates an authentication type; the Databricks SDKs have more.
func authType(s string, from Source) (string, error) {
	word := strings.TrimSpace(s)
	if !slices.Contains(AuthTypeNames(), word) {
		return "", rejected(word, from, "choose one of them with --auth", "is not one of "+strings.Join(AuthTypeNames(), ", "))
	}
	return word, nil
}

// dropClientID ignores a client ID if the chosen type is not a service principal's.
func (r *resolver) dropClientID() {
	c := &r.conf
	switch {
	case hasClientID(c.Auth.Value) || c.ClientID.Value == "":
	case c.ClientID.Source.Origin == FromOption:
		r.fail(invalid(c.ClientID.Source, "leave it out, or choose with --auth "+AuthM2M,
			"names a service principal, and %s chooses %s, which has none", c.Auth.Source, c.Auth.Value))
	default:
		r.note(c.ClientID.Source.String(), "not used: "+c.Auth.Value+" has no client ID")
		c.ClientID = Value[string]{}
	}
}

// candidates lists the configured credentials that can be used, strongest first. stated
// reports that a type is chosen.
func (r *resolver) candidates(stated bool) []candidate {
	var options, env, section []candidate
	for _, t := range authTypes {
		for _, v := range t.variables {
			s, _ := LookupSetting(v.name)
			if option := r.in.Options[s.Option]; len(option) > 0 {
				options = append(options, candidate{t.Name, Source{FromOption, "--" + s.Option}, aPath, option[len(option)-1]})
			}
			if value := r.in.Environ[v.name]; value != "" {
				env = append(env, candidate{t.Name, Source{FromEnvironment, v.name}, v.holds, value})
			}
			if r.section != nil && r.section.text(v.key).Given() {
				key := r.section.text(v.key)
				section = append(section, candidate{t.Name, key.Source, v.holds, key.Value})
			}
		}
	}
	if r.in.Import.Given() {
		return slices.DeleteFunc(section, func(w candidate) bool { return w.auth != AuthM2M })
	}
	section = r.usable(section, func(w candidate) string { return r.section.foreign(w.auth, r.conf.ClientID.Value) })
	env = r.usable(env, func(w candidate) string {
		switch why, chosen := r.foreign(w.auth), r.conf.DatabricksProfile.Source; {
		case why != "":
			return why
		case len(section) > 0 && chosen.Origin == FromOption:
			return chosen.String() + " names a section that has a secret"
		case !stated:
			return r.stray(w.auth)
		}
		return ""
	})
	return slices.Concat(options, env, section)
}

// usable removes the credentials for which unused returns a reason, and notes it.
func (r *resolver) usable(all []candidate, unused func(candidate) string) []candidate {
	return slices.DeleteFunc(all, func(w candidate) bool {
		why := unused(w)
		if why != "" {
			r.note(w.from.String(), "not used: "+why)
		}
		return why != ""
	})
}

// stray returns why the environment's credential of a type needs --auth, or nothing: a
// stray variable must not change the identity.
func (r *resolver) stray(auth string) string {
	why, id := "", r.conf.ClientID
	switch {
	case auth == AuthNative:
		why = "nothing selects the type " + auth
	case auth == AuthPAT && id.Value != "" && id.Source.Origin != FromEnvironment:
		why = id.Source.String() + " names a service principal"
	default:
		return ""
	}
	return why + "; --auth " + auth + " would choose it"
}

// foreign returns why the environment's credential of a type belongs to another
// target, or nothing. One without a client ID belongs to a host only, a native password
// to a database host.
func (r *resolver) foreign(auth string) string {
	if auth == AuthNative {
		target, own := r.lookup(byOption("pghost")), r.in.Environ[envPGHost]
		if target.from.Origin != FromEnvironment && own != "" && (target.text == nil || target.last() != own) {
			return "it belongs to " + envPGHost + ", and the target is another one"
		}
		return ""
	}
	if h := r.in.Environ[envHost]; h != "" {
		w, err := ParseWorkspace(h, Source{FromEnvironment, envHost})
		if err != nil || w.HostPort() != r.conf.Workspace.Value.HostPort() {
			return "it belongs to " + envHost + ", and the target is " + r.conf.Workspace.Value.HostPort()
		}
	}
	id := credential.Trim(r.in.Environ[envClientID])
	if id == "" || id == r.conf.ClientID.Value || !hasClientID(auth) {
		return ""
	}
	return "it belongs to " + envClientID + ", and the target's client ID is " + cmp.Or(r.conf.ClientID.Value, "none")
}

// read validates and returns a credential, which no error shows.
func (r *resolver) read(c candidate) SecretSource {
	s, value, holder, what := SecretSource{Kind: SecretInEnvironment, Source: c.from}, c.value, c.from, c.holds
	var err error
	switch {
	case c.from.Origin == FromProfile:
		s.Kind = SecretInSection
		if what == aSecret && !r.in.Import.Given() {
			r.conf.Warnings = append(r.conf.Warnings, Note{c.from.String(), "the secret is stored in plain text; move it to the keychain with: " +
				"lakebase-credential-helper login --import --databricks-profile " + sanitize.ShellWord(r.section.name)})
		}
	case what == aPath:
		s.Kind = SecretInFile
		s.Path, err = r.path(value, c.from)
	case what == aSecret && r.in.Environ[envSecretFile] != "":
		err = invalid(c.from, "unset one of them", "conflicts with "+envSecretFile)
	case what == aVariable:
		holder.Name, what = strings.TrimSpace(value), aToken
		if value = r.in.Environ[holder.Name]; value == "" { // the name is not shown: it may be a token
			err = invalid(c.from, "set it to the name of the variable that holds the token, or put the token into "+envOIDC,
				"does not name a variable that is set")
		}
	}
	if err == nil && s.Kind != SecretInFile {
		s.Text, err = ParseSecret(what, value, holder)
	}
	if err != nil {
		r.fail(err)
	}
	return s
}

// ParseSecret validates a client secret or a token. No error shows it.
func ParseSecret(what, s string, from Source) (credential.Secret, error) {
	secret, err := credential.ParseSecret(s)
	switch {
	case errors.Is(err, credential.ErrBlank):
		return secret, invalid(from, "copy it again, whole and on one line", "is not %s: it is blank", what)
	case err != nil:
		return secret, &Error{Name: from.String(), Problem: fmt.Sprintf("is not %s: it %v", what, err), Err: err}
	}
	return secret, nil
}

// ParsePassword validates a native password, which may contain any printable characters.
func ParsePassword(s string, from Source) (credential.Secret, error) {
	s = credential.Trim(s)
	if s == "" || hasControl(s) {
		return credential.Secret{}, invalid(from, "give only the password, on one line", "is blank, or contains a control character")
	}
	return credential.NewSecret(s), nil
}

// secret checks that the credential of the chosen type is known, unless it is stored.
func (r *resolver) secret() {
	c := &r.conf
	t, _ := LookupAuthType(c.Auth.Value)
	switch {
	case c.Secret.Source.Origin != FromDefault:
	case t.Kind == SecretFromGitHub && c.GitHub == nil:
		r.fail(invalid(c.Auth.Source, "give the job the permission id-token: write, or choose another authentication type with --auth",
			"%s needs a job of GitHub Actions that may have a token, which %s and %s describe", c.Auth.Value, envGitHubURL, envGitHub))
	case t.Kind != SecretInKeychain && len(t.variables) > 0: // none is set, or it was ignored
		var names []string
		for _, v := range t.variables {
			names = append(names, v.name)
		}
		needed := strings.Join(names, " or ")
		problem := t.Name + " needs " + needed
		for _, n := range c.Notes {
			if slices.Contains(names, n.Name) {
				problem += "; " + n.String()
			}
		}
		r.fail(invalid(c.Auth.Source, "set "+needed+", or choose another authentication type with --auth", "%s", problem))
	default:
		c.Secret.Kind = t.Kind
	}
}

// github reads the two variables of a job that may request tokens. Every such job has
// them, whatever cloud it is for, so they do not select an authentication type.
func (r *resolver) github() {
	address := strings.TrimSpace(r.in.Environ[envGitHubURL])
	if token, err := credential.ParseSecret(r.in.Environ[envGitHub]); strings.HasPrefix(address, "https://") && err == nil {
		r.conf.GitHub = &GitHubSource{URL: address, Token: token}
	}
}
