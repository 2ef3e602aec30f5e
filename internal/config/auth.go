package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

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
	stated, found := r.statedAuth(), r.candidates()
	if !stated.Given() {
		found = r.withoutStrayToken(found)
	}
	switch {
	case stated.Given():
		c.Auth = stated
	case len(found) > 0:
		c.Auth = Value[string]{found[0].auth, found[0].from}
	case r.section != nil && r.section.auth.Given():
		c.Auth = r.authWord(r.section.auth)
	}
	for _, w := range found {
		switch {
		case w.auth == c.Auth.Value && r.candidate == nil:
			r.candidate = &w
		case w.auth == c.Auth.Value:
			r.note(w.from.String(), "not used: "+r.candidate.from.String()+" takes precedence")
		case !stated.Given():
			r.fail(conflictError(found[0].from, found[0].auth, w.from, w.auth))
		case w.from.Origin == FromOption: // an option is never ignored
			r.fail(conflictError(w.from, w.auth, stated.Source, stated.Value))
		default:
			r.note(w.from.String(), "not used: "+stated.Source.String()+" says "+stated.Value)
		}
	}
	r.dropClientID()
}

func conflictError(a Source, aType string, b Source, bType string) *Error {
	return invalid(a, "choose with --auth "+aType+" or --auth "+bType+", or leave one of them out",
		"selects %s, but %s selects %s", aType, b, bType)
}

// statedAuth returns the explicit authentication type. One in the environment is for
// the environment's target only. An import is a service principal's secret.
func (r *resolver) statedAuth() Value[string] {
	v := getOwn(r, "auth", func(s string, _ Source) (string, error) { return s, nil })
	im := r.in.Import
	switch {
	case im != nil && (!v.Given() || v.Source.Origin == FromEnvironment):
		return Value[string]{AuthM2M, im.section.clientID.Source}
	case im != nil && v.Value != AuthM2M:
		r.fail(invalid(v.Source, "give --auth "+AuthM2M, "says %s, and %s has a secret for %s", sanitize.Quote(v.Value), im, AuthM2M))
	case v.Given():
		return r.authWord(v)
	}
	return v
}

// authWord validates an authentication type; the Databricks SDKs have more.
func (r *resolver) authWord(v Value[string]) Value[string] {
	v.Value = strings.TrimSpace(v.Value)
	if !slices.Contains(AuthTypeNames(), v.Value) {
		r.fail(rejected(v.Value, v.Source, "choose one of them with --auth", "is not one of "+strings.Join(AuthTypeNames(), ", ")))
	}
	return v
}

// withoutStrayToken ignores a native password in the environment, and a personal access
// token if an option or a profile names a service principal: a stray variable must not
// change the identity.
func (r *resolver) withoutStrayToken(found []candidate) []candidate {
	id := r.conf.ClientID
	return slices.DeleteFunc(found, func(w candidate) bool {
		why := "nothing selects the type " + w.auth
		stray := w.from.Origin == FromEnvironment && w.auth == AuthNative
		if w.from.Origin == FromEnvironment && w.auth == AuthPAT && id.Value != "" && id.Source.Origin != FromEnvironment {
			stray, why = true, id.Source.String()+" names a service principal"
		}
		if stray {
			r.note(w.from.String(), "not used: "+why+"; --auth "+w.auth+" would choose it")
		}
		return stray
	})
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

// candidates lists the credentials of options, variables and the section, strongest first.
func (r *resolver) candidates() []candidate {
	var out, env []candidate
	for _, o := range [][2]string{{"client-secret-file", AuthM2M}, {"native-password-file", AuthNative}} {
		if v := r.in.Options[o[0]]; len(v) > 0 {
			from := Source{FromOption, "--" + o[0]}
			if v[len(v)-1] == "" {
				r.fail(emptyError(from))
			}
			out = append(out, candidate{o[1], from, aPath, v[len(v)-1]})
		}
	}
	section := r.section.candidates(r)
	for _, t := range authTypes {
		for _, v := range t.variables {
			given := func(w candidate) bool { return w.auth == t.Name && w.from.Origin == FromOption }
			switch why := r.foreignTo(t.Name); {
			case r.in.Environ[v.name] == "" || slices.ContainsFunc(out, given):
			case why != "":
				r.note(v.name, "not used: "+why)
			case len(section) > 0 && r.conf.DatabricksProfile.Source.Origin == FromOption:
				r.note(v.name, "not used: "+r.conf.DatabricksProfile.Source.String()+" names a section that has a secret")
			default:
				env = append(env, candidate{t.Name, Source{FromEnvironment, v.name}, v.holds, r.in.Environ[v.name]})
			}
		}
	}
	return slices.Concat(out, env, section)
}

// foreignTo returns why the environment's credential of a type belongs to another
// target, or nothing. One without a client ID belongs to a host only, a native password
// to a database host.
func (r *resolver) foreignTo(auth string) string {
	if auth == AuthNative {
		if target := r.lookup(byOption("pghost")); target.from.Origin != FromEnvironment && r.in.Environ[envPGHost] != "" &&
			(target.text == nil || target.last() != r.in.Environ[envPGHost]) {
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
	switch target := r.conf.ClientID.Value; {
	case id == "" || id == target || !hasClientID(auth):
		return ""
	case target == "":
		return "it belongs to " + envClientID + ", and the target has no client ID"
	default:
		return "it belongs to " + envClientID + ", and the target's client ID is " + target
	}
}

// read validates and returns a credential, which no error shows.
func (r *resolver) read(c candidate) (SecretSource, error) {
	value, holder, what, kind := c.value, c.from, c.holds, SecretInEnvironment
	switch {
	case c.from.Origin == FromProfile:
		kind = SecretInSection
	case what == aPath:
		path, err := r.path(value, c.from)
		return SecretSource{Kind: SecretInFile, Path: path, Source: c.from}, err
	case what == aSecret && r.in.Environ[envSecretFile] != "":
		return SecretSource{}, invalid(c.from, "unset one of them", "conflicts with "+envSecretFile)
	case what == aVariable:
		name := strings.TrimSpace(value)
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
		if name == "" || len(name) > 64 || strings.Trim(name, letters) != "" {
			return SecretSource{}, invalid(c.from, "name the variable that holds the token, or put the token into "+envOIDC,
				"does not hold the name of a variable")
		}
		if value, holder.Name, what = r.in.Environ[name], name, aToken; value == "" {
			return SecretSource{}, invalid(c.from, "set "+name+" to the workload's token, or unset "+c.from.Name, "names %s, which is not set", name)
		}
	}
	s, err := ParseSecret(what, value, holder)
	return SecretSource{Kind: kind, Text: s, Source: c.from}, err
}

// ParseSecret validates a client secret or a token. No error shows it.
func ParseSecret(what, s string, from Source) (credential.Secret, error) {
	secret, err := credential.ParseSecret(s)
	if err == nil {
		return secret, nil
	}
	fix := "copy it again, whole and on one line"
	if e, ok := errors.AsType[*credential.CharacterError](err); ok {
		fix = e.Hint()
	}
	return credential.Secret{}, invalid(from, fix, "is not %s: it %v", what, err)
}

// ParsePassword validates a native password, which may contain any printable characters.
func ParsePassword(s string, from Source) (credential.Secret, error) {
	s = credential.Trim(s)
	if s == "" || hasControl(s) {
		return credential.Secret{}, invalid(from, "give only the password, on one line", "is blank, or contains a control character")
	}
	return credential.NewSecret(s), nil
}

// secret locates the credential of the chosen type.
func (r *resolver) secret() {
	c := &r.conf
	t, _ := LookupAuthType(c.Auth.Value)
	switch {
	case r.candidate != nil:
		s, err := r.read(*r.candidate)
		if err != nil {
			r.fail(err)
		}
		if c.Secret = s; s.Kind == SecretInSection && t.Name == AuthM2M {
			c.Warnings = append(c.Warnings, Note{s.Source.String(), "the secret is stored in plain text; move it to the keychain with: " +
				"lakebase-credential-helper login --import --databricks-profile " + sanitize.ShellWord(r.section.name)})
		}
	case t.Kind == SecretFromGitHub && c.GitHub == nil:
		r.fail(invalid(c.Auth.Source, "give the job the permission id-token: write, or choose another authentication type with --auth",
			"%s needs a job of GitHub Actions that may have a token, and %s", c.Auth.Value, r.noGitHub))
	case t.Kind != SecretInKeychain && len(t.variables) > 0: // none is set, or it was ignored
		needed, ignored := t.variables[0].name, ""
		for _, v := range t.variables[1:] {
			needed += " or " + v.name
		}
		for _, n := range c.Notes {
			if slices.ContainsFunc(t.variables, func(v authVariable) bool { return v.name == n.Name }) {
				ignored += "; " + n.String()
			}
		}
		r.fail(invalid(c.Auth.Source, "set "+needed+", or choose another authentication type with --auth", "%s needs %s%s", t.Name, needed, ignored))
	default:
		c.Secret = SecretSource{Kind: t.Kind}
	}
}

// github reads the two variables of a job that may request tokens. Every such job has
// them, whatever cloud it is for, so they do not select an authentication type.
func (r *resolver) github() {
	address := strings.TrimSpace(r.in.Environ[envGitHubURL])
	token, tokenErr := credential.ParseSecret(r.in.Environ[envGitHub])
	switch u, err := url.Parse(address); {
	case address == "":
		r.noGitHub = envGitHubURL + " is not set"
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		r.noGitHub = envGitHubURL + " is not an https address"
	case tokenErr != nil:
		r.noGitHub = envGitHub + " " + tokenErr.Error()
	default:
		r.conf.GitHub = &GitHubSource{URL: address, Token: token}
	}
}
