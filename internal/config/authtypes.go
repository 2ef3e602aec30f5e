package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// AuthTypes returns the table of authentication types.
func AuthTypes() []AuthType { return authTypes }

// AuthTypeNames returns the values of --auth.
func AuthTypeNames() (names []string) {
	for _, t := range authTypes {
		names = append(names, t.Name)
	}
	return names
}

// LookupAuthType returns the row of a type. Without a name it is the default, a service
// principal with a secret.
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

// AuthOptions are the values of the settings that only some authentication types use.
type AuthOptions map[string]Value[string]

// Digest returns a hash of the options that a type uses, for the key of cached tokens:
// with other options it may sign in as another identity. It is empty without options.
func (o AuthOptions) Digest(authType string) string {
	h, n := sha256.New(), 0
	for _, s := range settings {
		if v := o[s.Option]; s.AuthType == authType && v.Value != "" {
			fmt.Fprintf(h, "%q=%q ", s.Option, v.Value)
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// maxAuthOption bounds the value of a setting of one authentication type, in bytes.
const maxAuthOption = 512

// authOptions reads the settings of single authentication types.
func (r *resolver) authOptions() AuthOptions {
	options := AuthOptions{}
	for _, s := range settings {
		if s.AuthType == "" {
			continue
		}
		v := ownOrNone(r, s.Option, func(text string, from Source) (string, error) {
			if text = strings.TrimSpace(text); text == "" || hasControl(text) || len(text) > maxAuthOption {
				return "", errorf(from, "is blank, contains a control character or is longer than %d bytes", maxAuthOption).withFix("give a value, or leave it out")
			}
			return text, nil
		})
		if !v.Given() && r.section != nil {
			v = r.section.options[s.Key]
		}
		if v.Given() {
			options[s.Option] = v
		}
	}
	return options
}

// requireVariable fails for a type whose variables are not set, or were ignored.
func (r *resolver) requireVariable(t AuthType) {
	var names []string
	for _, v := range t.variables {
		names = append(names, v.name)
	}
	slices.Reverse(names) // the plain one first
	auth, any := r.conf.Auth, strings.Join(names, " or ")
	e := errorf(auth.Source, "%s needs %s", auth.Value, any)
	for _, n := range r.conf.Notes {
		if slices.Contains(names, n.Name) {
			e.Problem += "; " + n.String()
		}
	}
	e.Fix = "set " + any + ", or choose another authentication type with --auth"
	r.fail(e)
}
