package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// databricksSettings is a section that is no profile: the Databricks CLI keeps
// settings of its own there (databricks/cli, libs/databrickscfg).
const databricksSettings = "__settings__"

// DatabricksFile is a .databrickscfg, in which the Databricks tools keep
// profiles, secrets included (databricks-sdk-go, config/config_file.go).
type DatabricksFile struct{ file *ini }

// ParseDatabricks reads the file called name. Its errors name file and line,
// and show no value.
func ParseDatabricks(name string, data []byte) (*DatabricksFile, error) {
	f, err := parseINI(name, data)
	if err != nil {
		return nil, err
	}
	return &DatabricksFile{f}, nil
}

// Has reports whether there is a profile called section.
func (d *DatabricksFile) Has(section string) bool {
	_, ok := d.file.get(section)
	return ok && section != databricksSettings
}

// Import is a secret from a section of a .databrickscfg, with its host and client ID.
type Import struct {
	Section   string
	File      string
	Workspace Value[Workspace]
	ClientID  Value[string]
	Secret    credential.Secret
}

func (im Import) String() string { return "section [" + im.Section + "] of " + im.File }

// Import reads the section that chosen named. Its errors name the section or the key
// and its line.
func (d *DatabricksFile) Import(section string, chosen Source) (Import, error) {
	if !d.Has(section) {
		e := &Error{Name: chosen.String(), Problem: "section [" + section + "] not found in " + d.file.name}
		if able := d.able(); len(able) > 0 {
			e.Fix = "with --databricks-profile, name one that has a secret: " + strings.Join(able, ", ")
		}
		return Import{}, e
	}
	values, _ := d.file.get(section)
	im := Import{Section: section, File: d.file.name}
	for _, key := range importKeys {
		if values[key].text == "" {
			e := &Error{Name: im.String(), Problem: "has no key " + key}
			if able := d.able(); len(able) > 0 {
				e.Fix = "with --databricks-profile, name one that has all of " + strings.Join(importKeys, ", ") + ": " + strings.Join(able, ", ")
			}
			return Import{}, e
		}
	}
	w, err := d.workspace(section, values)
	if err != nil {
		return Import{}, err
	}
	id, err := d.clientID(section, values)
	if err != nil {
		return Import{}, err
	}
	im.Workspace, im.ClientID = w, id
	if im.Secret, err = plainSecret(values["client_secret"].text, d.from(section, values, "client_secret")); err != nil {
		return Import{}, err
	}
	return im, nil
}

// from returns the source of a key.
func (d *DatabricksFile) from(section string, values map[string]iniValue, key string) Source {
	return Source{FromProfile, fmt.Sprintf("key %s of [%s] (%s:%d)", key, section, d.file.name, values[key].line)}
}

func (d *DatabricksFile) workspace(section string, values map[string]iniValue) (Value[Workspace], error) {
	from := d.from(section, values, "host")
	w, err := ParseWorkspace(values["host"].text, from)
	if id := values["workspace_id"].text; err == nil && w.WorkspaceID == "" && digitsOnly(id) {
		w.WorkspaceID = id
	}
	return Value[Workspace]{w, from}, err
}

func (d *DatabricksFile) clientID(section string, values map[string]iniValue) (Value[string], error) {
	from := d.from(section, values, "client_id")
	id, err := clientID(strings.TrimSpace(values["client_id"].text), from)
	return Value[string]{id, from}, err
}

func plainSecret(s string, from Source) (credential.Secret, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\'' || r == '"' }) {
		return credential.Secret{}, errorf(from, "is not a secret: it contains a space, a quote or a control character")
	}
	return credential.NewSecret(s), nil
}

// section reads a section's target. Its secrets are validated when they are used.
func (d *DatabricksFile) section(chosen Value[string]) (*section, error) {
	if !d.Has(chosen.Value) {
		e := &Error{Name: chosen.Source.String(), Problem: "section [" + chosen.Value + "] not found in " + d.file.name}
		if there := d.sections(); len(there) > 0 {
			e.Fix = "there are: " + strings.Join(there, ", ")
		}
		return nil, e
	}
	values, _ := d.file.get(chosen.Value)
	s := &section{name: chosen.Value}
	var err error
	if values["host"].text != "" {
		if s.workspace, err = d.workspace(s.name, values); err != nil {
			return nil, err
		}
	}
	if values["client_id"].text != "" {
		if s.clientID, err = d.clientID(s.name, values); err != nil {
			return nil, err
		}
	}
	text := func(key string) Value[string] {
		if values[key].text == "" {
			return Value[string]{}
		}
		return Value[string]{values[key].text, d.from(s.name, values, key)}
	}
	s.auth, s.audience = text("auth_type"), text("audience")
	s.secret = sectionCandidate(credential.AuthM2M, text("client_secret"), plainSecret)
	s.token = sectionCandidate(credential.AuthPAT, text("token"), token)
	return s, nil
}

func sectionCandidate(word string, v Value[string], read func(string, Source) (credential.Secret, error)) *candidate {
	if !v.Given() {
		return nil
	}
	return &candidate{word, v.Source, func() (SecretSource, error) {
		secret, err := read(v.Value, v.Source)
		return SecretSource{Kind: SecretInSection, Text: secret, Source: v.Source}, err
	}}
}

// sections lists those that are profiles.
func (d *DatabricksFile) sections() []string {
	return slices.DeleteFunc(d.file.sections(), func(s string) bool { return s == databricksSettings })
}

// importKeys are the keys that an import needs.
var importKeys = []string{"host", "client_id", "client_secret"}

// able lists the sections that can be imported.
func (d *DatabricksFile) able() []string {
	var out []string
	for _, s := range d.file.sections() {
		values, _ := d.file.get(s)
		whole := s != databricksSettings
		for _, key := range importKeys {
			whole = whole && values[key].text != ""
		}
		if whole {
			out = append(out, s)
		}
	}
	return out
}

// WithoutSecret returns the file without the section's client_secret line, otherwise
// unchanged. It reports false if the section has another secret or none.
func (d *DatabricksFile) WithoutSecret(section string, secret credential.Secret) ([]byte, bool) {
	values, _ := d.file.get(section)
	if secret.IsZero() || !credential.NewSecret(values["client_secret"].text).Equal(secret) {
		return nil, false
	}
	d.file.remove(section, "client_secret")
	return d.file.bytes(), true
}

// applyImport uses the section's host and client ID. Other sources must agree: a secret
// belongs to its own section's.
func (r *resolver) applyImport() {
	im, c := r.in.Import, &r.conf
	if im == nil || r.err != nil {
		return
	}
	disagree := func(from Source, given, theirs string) {
		r.fail(&Error{Name: from.String(), Problem: fmt.Sprintf("names %s, and %s is for %s", sanitize.Quote(given), im, theirs),
			Fix: "a secret belongs to its own section's host and client id: leave " + from.String() + " out, or name another section with --databricks-profile"})
	}
	if theirs := im.Workspace.Value.HostPort(); c.Workspace.Given() && c.Workspace.Value.HostPort() != theirs {
		disagree(c.Workspace.Source, c.Workspace.Value.HostPort(), theirs)
	}
	if c.ClientID.Given() && c.ClientID.Value != im.ClientID.Value {
		disagree(c.ClientID.Source, c.ClientID.Value, im.ClientID.Value)
	}
	switch {
	case !c.Workspace.Given():
		c.Workspace = im.Workspace
	case c.Workspace.Value.WorkspaceID == "":
		c.Workspace.Value.WorkspaceID = im.Workspace.Value.WorkspaceID
	}
	if !c.ClientID.Given() {
		c.ClientID = im.ClientID
	}
}
