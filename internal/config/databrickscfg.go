package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const (
	// databricksSettings is a section that is no profile: the Databricks CLI keeps
	// settings of its own there (databricks/cli, libs/databrickscfg).
	databricksSettings = "__settings__"
	// implicitSection is the section of keys before the first header.
	implicitSection = "DEFAULT"
)

// DatabricksFile is a .databrickscfg, in which the Databricks tools keep
// profiles, secrets included (databricks-sdk-go, config/config_file.go).
type DatabricksFile struct{ *ini }

// ParseDatabricks reads the file called name. A line that cannot be read is an error of
// its section, which names file and line and shows no value.
func ParseDatabricks(name string, data []byte) *DatabricksFile {
	return &DatabricksFile{parseINI(name, data, implicitSection)}
}

// section is the target of a section of a .databrickscfg. Its secrets are validated when
// they are used.
type section struct {
	name      string
	file      *DatabricksFile
	workspace Value[Workspace]
	clientID  Value[string]
}

func (s *section) String() string { return "section [" + s.name + "] of " + s.file.name }

// text returns the text of a key.
func (s *section) text(key string) Value[string] {
	v := s.file.sections[s.name][key]
	if v.value == "" {
		return Value[string]{}
	}
	from := fmt.Sprintf("key %s of [%s] (%s:%d)", key, s.name, s.file.name, v.number)
	return Value[string]{v.value, Source{FromProfile, from}}
}

// otherSection is the hint for a section that does not exist or lacks a key.
func (d *DatabricksFile) otherSection(wrong string) string {
	names := slices.DeleteFunc(slices.Clone(d.names), func(s string) bool { return s == databricksSettings || s == wrong })
	if len(names) == 0 {
		return "name another file in DATABRICKS_CONFIG_FILE, or give --host and --client-id"
	}
	return "name one of these with --databricks-profile: " + strings.Join(names, ", ")
}

// WithoutSecret returns the file without the section's client_secret line, otherwise
// unchanged. It reports false if the section has another secret or none.
func (d *DatabricksFile) WithoutSecret(section string, secret credential.Secret) ([]byte, bool) {
	if secret.IsZero() || !credential.NewSecret(d.Value(section, "client_secret")).Equal(secret) {
		return nil, false
	}
	d.remove(section, "client_secret")
	return d.bytes(), true
}

// readSection applies the chosen section. Its values have the precedence of what chose
// it. With those of an imported section every other source must agree.
func (r *resolver) readSection() {
	c, chosen := &r.conf, r.in.Import
	if !chosen.Given() {
		chosen = get(r, "databricks-profile", "", oneLine)
	}
	if !chosen.Given() {
		return
	}
	s, err := r.openSection(chosen)
	if err != nil {
		r.fail(err)
		return
	}
	if !merge(r, &c.Workspace, s.workspace, s, chosen, Workspace.HostPort) {
		r.note(chosen.Source.String(), "not used: "+c.Workspace.Source.String()+" names another workspace")
		c.DatabricksProfile.Source = c.Workspace.Source
		return
	}
	if c.Workspace.Value.WorkspaceID == "" {
		c.Workspace.Value.WorkspaceID = s.workspace.Value.WorkspaceID
	}
	merge(r, &c.ClientID, s.clientID, s, chosen, func(id string) string { return id })
	r.section, c.DatabricksProfile = s, chosen
	if r.in.Import.Given() { // the stored secret replaces the section
		c.DatabricksProfile.Value = ""
	}
}

// openSection reads the section that chosen names.
func (r *resolver) openSection(chosen Value[string]) (*section, error) {
	file, err := r.in.Databricks()
	if err != nil {
		return nil, err
	}
	s := &section{name: chosen.Value, file: file}
	if !file.Has(s.name) || s.name == databricksSettings {
		return nil, invalid(chosen.Source, file.otherSection(s.name), "section [%s] not found in %s", s.name, file.name)
	}
	if err := file.problem(s.name); err != nil {
		return nil, err
	}
	for _, key := range []string{"host", "client_id", "client_secret"} {
		if r.in.Import.Given() && !s.text(key).Given() {
			return nil, &Error{Name: s.String(), Problem: "has no key " + key, Fix: file.otherSection(s.name)}
		}
	}
	if host := s.text("host"); host.Given() {
		s.workspace = parsed(r, host, ParseWorkspace)
		if id := s.text("workspace_id").Value; s.workspace.Value.WorkspaceID == "" && digitsOnly(id) {
			s.workspace.Value.WorkspaceID = id
		}
	}
	if id := s.text("client_id"); id.Given() {
		s.clientID = parsed(r, id, trimmed(clientID))
	}
	return s, nil
}

// merge uses a section's value unless a stronger source has another one. An equally
// strong source must agree. It reports whether the section's value is in use.
func merge[T any](r *resolver, ours *Value[T], theirs Value[T], s *section, chosen Value[string], show func(T) string) bool {
	from, strict := ours.Source, r.in.Import.Given()
	switch {
	case !theirs.Given():
	case !ours.Given():
		*ours = theirs
	case show(ours.Value) == show(theirs.Value):
	case !strict && (from.Origin == FromOption || from.Origin > chosen.Source.Origin):
		return false
	case strict || from.Origin == chosen.Source.Origin:
		r.fail(invalid(from, "leave "+from.String()+" out, or name another section with --databricks-profile",
			"names %s, and %s is for %s", sanitize.Quote(show(ours.Value)), s, show(theirs.Value)))
	default:
		r.note(from.String(), "not used: "+chosen.Source.String()+" chooses the section ["+chosen.Value+"]")
		*ours = theirs
	}
	return true
}

// foreign returns why the section's credential of a type is not used, or nothing: it
// belongs to the section's host and client ID. An auth_type selects one of two.
func (s *section) foreign(auth, clientID string) string {
	word := s.text("auth_type")
	switch {
	case !s.workspace.Given():
		return "its section names no host"
	case auth == AuthM2M && !s.clientID.Given():
		return "its section names no client_id"
	case s.clientID.Given() && clientID != s.clientID.Value:
		return "it belongs to the section's client_id, and the target's client ID is " + clientID
	case (word.Value == AuthM2M || word.Value == AuthPAT) && word.Value != auth:
		return word.Source.String() + " says " + word.Value
	}
	return ""
}
