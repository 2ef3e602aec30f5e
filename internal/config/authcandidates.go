package config

import (
	"errors"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// candidates lists the credentials of options, variables and the section, the strongest
// first.
func (r *resolver) candidates() []candidate {
	var out []candidate
	const option = "client-secret-file"
	byOption := len(r.in.Options[option]) > 0
	if byOption {
		out = append(out, candidate{AuthM2M, Source{FromOption, "--" + option}, func() (SecretSource, error) {
			v := get(r, option, "", r.path)
			return SecretSource{Kind: SecretInFile, Path: v.Value, Source: v.Source}, nil
		}})
	}
	env := r.fromVariables(byOption)
	section := r.section.candidates(r)
	if len(section) > 0 && r.conf.DatabricksProfile.Source.Origin == FromOption {
		for _, w := range env {
			r.note(w.from.String(), "not used: "+r.conf.DatabricksProfile.Source.String()+" names a section that has a secret")
		}
		env = nil
	}
	return append(append(out, env...), section...)
}

// fromVariables lists the candidates from variables, without those of another target.
func (r *resolver) fromVariables(secretByOption bool) []candidate {
	var out []candidate
	for _, t := range authTypes {
		for _, v := range t.variables {
			if r.in.Environ[v.name] == "" || secretByOption && t.Name == AuthM2M {
				continue
			}
			if why := r.foreignTo(t.Name); why != "" {
				r.note(v.name, "not used: "+why)
				continue
			}
			from := Source{FromEnvironment, v.name}
			out = append(out, candidate{t.Name, from, func() (SecretSource, error) { return v.read(r, from) }})
		}
	}
	return out
}

// foreignTo returns why the environment's credential of a type belongs to another
// target, or nothing. One without a client ID belongs to a host only.
func (r *resolver) foreignTo(word string) string {
	if h := r.in.Environ[envHost]; h != "" {
		w, err := ParseWorkspace(h, Source{FromEnvironment, envHost})
		if err != nil || w.HostPort() != r.conf.Workspace.Value.HostPort() {
			return "it belongs to " + envHost + ", and the target is " + r.conf.Workspace.Value.HostPort()
		}
	}
	id := credential.Trim(r.in.Environ[envClientID])
	switch target := r.conf.ClientID.Value; {
	case id == "" || id == target || !hasClientID(word):
		return ""
	case target == "":
		return "it belongs to " + envClientID + ", and the target has no client ID"
	default:
		return "it belongs to " + envClientID + ", and the target's client ID is " + target
	}
}

// secretVariable reads DATABRICKS_CLIENT_SECRET.
func (r *resolver) secretVariable(from Source) (SecretSource, error) {
	if r.in.Environ[envSecretFile] != "" {
		return SecretSource{}, &Error{Name: envSecret, Problem: "conflicts with " + envSecretFile, Fix: "unset one of them"}
	}
	s, err := plainSecret(r.in.Environ[envSecret], from)
	return SecretSource{Kind: SecretInEnvironment, Text: s, Source: from}, err
}

// fileVariable reads the name of a file.
func (r *resolver) fileVariable(from Source) (SecretSource, error) {
	path, err := r.path(r.in.Environ[from.Name], from)
	return SecretSource{Kind: SecretInFile, Path: path, Source: from}, err
}

// tokenVariable reads a token from the variable itself.
func (r *resolver) tokenVariable(from Source) (SecretSource, error) {
	s, err := token(r.in.Environ[from.Name], from)
	return SecretSource{Kind: SecretInEnvironment, Text: s, Source: from}, err
}

// token validates a token for an HTTP header or a form. No error shows it.
func token(s string, from Source) (credential.Secret, error) { return secretText("a token", s, from) }

// plainSecret validates a client secret. No error shows it.
func plainSecret(s string, from Source) (credential.Secret, error) {
	return secretText("a secret", s, from)
}

func secretText(what, s string, from Source) (credential.Secret, error) {
	secret, err := credential.ParseSecret(s)
	if err != nil {
		return credential.Secret{}, notA(what, err, from)
	}
	return secret, nil
}

// notA is the error for a text with a character that the thing never contains. A text
// that may be a secret is not shown.
func notA(what string, err error, from Source) *Error {
	e := errorf(from, "is not %s: it %v", what, err).withFix("copy it again, whole and on one line")
	var character *credential.CharacterError
	if errors.As(err, &character) {
		e.Fix = character.Hint()
	}
	return e
}

// namedVariable reads the token from the variable that DATABRICKS_OIDC_TOKEN_ENV
// names. If that holds the token itself, no error shows it.
func (r *resolver) namedVariable(from Source) (SecretSource, error) {
	name := strings.TrimSpace(r.in.Environ[envOIDCName])
	if !isVariable(name) {
		return SecretSource{}, &Error{Name: envOIDCName, Problem: "does not hold the name of a variable", Fix: "name the variable that holds the token, or put the token into " + envOIDC}
	}
	if r.in.Environ[name] == "" {
		return SecretSource{}, &Error{Name: envOIDCName, Problem: "names " + name + ", which is not set", Fix: "set " + name + " to the workload's token, or unset " + envOIDCName}
	}
	s, err := token(r.in.Environ[name], Source{FromEnvironment, name})
	return SecretSource{Kind: SecretInEnvironment, Text: s, Source: from}, err
}

func isVariable(s string) bool {
	return s != "" && len(s) <= 64 && !digitsOnly(s[:1]) && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
