package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// section is the target of a section of a .databrickscfg.
type section struct {
	name      string
	workspace Value[Workspace]
	clientID  Value[string]
	auth      Value[string] // not validated; used if nothing else selects a type
	options   AuthOptions   // by profile key
	secret    *candidate    // nil: none, or another target's
	token     *candidate
}

// readSection applies the chosen section. Its values have the precedence of what chose
// it: an option overrides them, and they override weaker sources.
func (r *resolver) readSection() {
	if im := r.in.Import; im != nil {
		r.conf.DatabricksProfile.Source = im.Workspace.Source
		return
	}
	chosen := get(r, "databricks-profile", "", sectionName)
	if !chosen.Given() || r.err != nil {
		return
	}
	s, err := r.openSection(chosen)
	if err != nil {
		r.fail(err)
		return
	}
	c := &r.conf
	same := func(a, b Workspace) bool { return a.HostPort() == b.HostPort() }
	if !merge(r, &c.Workspace, s.workspace, chosen, same, Workspace.HostPort) {
		r.note(chosen.Source.String(), "not used: "+c.Workspace.Source.String()+" names another workspace")
		c.DatabricksProfile.Source = c.Workspace.Source
		return
	}
	if c.Workspace.Value.WorkspaceID == "" {
		c.Workspace.Value.WorkspaceID = s.workspace.Value.WorkspaceID
	}
	equal := func(a, b string) bool { return a == b }
	merge(r, &c.ClientID, s.clientID, chosen, equal, func(id string) string { return id })
	r.section, c.DatabricksProfile = s, chosen
	r.dropForeignSecrets(s)
}

// merge uses a section's value unless a stronger source has another one. An equally
// strong source must agree. It reports whether the section's value is in use.
func merge[T any](r *resolver, ours *Value[T], theirs Value[T], chosen Value[string], same func(a, b T) bool, show func(T) string) bool {
	switch {
	case !theirs.Given():
	case !ours.Given():
		*ours = theirs
	case same(ours.Value, theirs.Value):
	case ours.Source.Origin == FromOption || ours.Source.Origin > chosen.Source.Origin:
		return false
	case ours.Source.Origin == chosen.Source.Origin:
		r.fail(&Error{Name: ours.Source.String(), Problem: fmt.Sprintf("names %s, and %s chooses the section [%s], which is for %s", sanitize.Quote(show(ours.Value)), chosen.Source, chosen.Value, show(theirs.Value)),
			Fix: "leave " + ours.Source.String() + " out, or name another section with --databricks-profile"})
	default:
		r.note(ours.Source.String(), "not used: "+chosen.Source.String()+" chooses the section ["+chosen.Value+"]")
		*ours = theirs
	}
	return true
}

// dropForeignSecrets ignores secrets of another target: each belongs to its section's
// host, and the client secret to its client ID.
func (r *resolver) dropForeignSecrets(s *section) {
	c := r.conf
	drop := func(w **candidate, why string) {
		if *w != nil {
			r.note((*w).from.String(), "not used: "+why)
			*w = nil
		}
	}
	if !s.workspace.Given() {
		drop(&s.secret, "its section names no host")
		drop(&s.token, "its section names no host")
	}
	switch {
	case !s.clientID.Given():
		drop(&s.secret, "its section names no client_id")
	case c.ClientID.Value != s.clientID.Value:
		drop(&s.secret, "it belongs to the section's client_id, and the target's client ID is "+c.ClientID.Value)
		drop(&s.token, "the target's client ID is "+c.ClientID.Value)
	}
}

// candidates lists the section's secrets. Its auth_type selects one of two.
func (s *section) candidates(r *resolver) []candidate {
	if s == nil {
		return nil
	}
	var out []candidate
	for _, w := range []*candidate{s.secret, s.token} {
		if w == nil {
			continue
		}
		if s.secret != nil && s.token != nil && (s.auth.Value == AuthM2M || s.auth.Value == AuthPAT) && s.auth.Value != w.auth {
			r.note(w.from.String(), "not used: "+s.auth.Source.String()+" says "+s.auth.Value)
			continue
		}
		out = append(out, *w)
	}
	return out
}

func sectionName(s string, from Source) (string, error) {
	if s = strings.TrimSpace(s); s == "" || hasControl(s) {
		return "", errorf(from, "%s is not the name of a section", sanitize.Quote(s)).withFix("give the name between [ and ] in the file")
	}
	return s, nil
}

func (r *resolver) openSection(chosen Value[string]) (*section, error) {
	fail := func(why string) error {
		return &Error{Name: chosen.Source.String(), Problem: fmt.Sprintf("section [%s] not found: %s", chosen.Value, why), Fix: "name the file in DATABRICKS_CONFIG_FILE, or leave " + chosen.Source.String() + " out"}
	}
	if r.in.Databricks == nil {
		return nil, fail("no .databrickscfg")
	}
	file, err := r.in.Databricks()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(err.Error())
	case err != nil:
		return nil, err
	case file == nil:
		return nil, fail("no .databrickscfg")
	}
	return file.section(chosen)
}

// warnPlaintext recommends the keychain for a client secret in plain text.
func (r *resolver) warnPlaintext() {
	s := r.section
	r.conf.Warnings = append(r.conf.Warnings, Note{s.secret.from.String(),
		"the secret is stored in plain text; move it to the keychain with: lakebase-credential-helper login --import --databricks-profile " + s.name})
}

// databricksSettings is a section that is no profile: the Databricks CLI keeps
// settings of its own there (databricks/cli, libs/databrickscfg).
const databricksSettings = "__settings__"

// DatabricksFile is a .databrickscfg, in which the Databricks tools keep
// profiles, secrets included (databricks-sdk-go, config/config_file.go).
type DatabricksFile struct{ file *ini }

// ParseDatabricks reads the file called name. A line that cannot be read is an error of
// its section, which names file and line and shows no value.
func ParseDatabricks(name string, data []byte) *DatabricksFile {
	return &DatabricksFile{parseDatabricksINI(name, data)}
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

// noOtherSection is the hint if no other section would do.
const noOtherSection = "name another file in DATABRICKS_CONFIG_FILE, or give --host and --client-id"

// Import reads the section that chosen named. Its errors name the section or the key
// and its line.
func (d *DatabricksFile) Import(section string, chosen Source) (Import, error) {
	if !d.Has(section) {
		e := &Error{Name: chosen.String(), Problem: "section [" + section + "] not found in " + d.file.name, Fix: noOtherSection}
		if able := d.able(); len(able) > 0 {
			e.Fix = "with --databricks-profile, name one that has a secret: " + strings.Join(able, ", ")
		}
		return Import{}, e
	}
	if err := d.file.problem(section); err != nil {
		return Import{}, err
	}
	values, _ := d.file.get(section)
	im := Import{Section: section, File: d.file.name}
	for _, key := range importKeys {
		if values[key].text == "" {
			e := &Error{Name: im.String(), Problem: "has no key " + key, Fix: noOtherSection}
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
	id, err := clientID(credential.Trim(values["client_id"].text), from)
	return Value[string]{id, from}, err
}

// section reads a section's target. Its secrets are validated when they are used.
func (d *DatabricksFile) section(chosen Value[string]) (*section, error) {
	if !d.Has(chosen.Value) {
		e := &Error{Name: chosen.Source.String(), Problem: "section [" + chosen.Value + "] not found in " + d.file.name, Fix: noOtherSection}
		if there := d.sections(); len(there) > 0 {
			e.Fix = "name one of these with --databricks-profile: " + strings.Join(there, ", ")
		}
		return nil, e
	}
	if err := d.file.problem(chosen.Value); err != nil {
		return nil, err
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
	s.auth, s.options = text("auth_type"), AuthOptions{"audience": text("audience")}
	s.secret = sectionCandidate(AuthM2M, text("client_secret"), plainSecret)
	s.token = sectionCandidate(AuthPAT, text("token"), token)
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
			Fix: "a secret belongs to its own section's host and client ID: leave " + from.String() + " out, or name another section with --databricks-profile"})
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
