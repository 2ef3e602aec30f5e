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

const (
	// databricksSettings is a section that is no profile: the Databricks CLI keeps
	// settings of its own there (databricks/cli, libs/databrickscfg).
	databricksSettings = "__settings__"
	// implicitSection is the section of keys before the first header.
	implicitSection = "DEFAULT"
)

// DatabricksFile is a .databrickscfg, in which the Databricks tools keep
// profiles, secrets included (databricks-sdk-go, config/config_file.go).
type DatabricksFile struct{ file *ini }

// ParseDatabricks reads the file called name. A line that cannot be read is an error of
// its section, which names file and line and shows no value.
func ParseDatabricks(name string, data []byte) *DatabricksFile {
	return &DatabricksFile{parseINI(name, data, implicitSection)}
}

// Has reports whether there is a profile called section.
func (d *DatabricksFile) Has(section string) bool {
	_, ok := d.file.get(section)
	return ok && section != databricksSettings
}

// section is the target of a section of a .databrickscfg.
type section struct {
	name, file string
	workspace  Value[Workspace]
	clientID   Value[string]
	text       func(key string) Value[string]
	auth       Value[string] // not validated; used if nothing else selects a type
	secrets    []candidate   // client_secret and token
}

func (s *section) String() string { return "section [" + s.name + "] of " + s.file }

// section reads a section's target. Its secrets are validated when they are used.
func (d *DatabricksFile) section(name string, chosen Source) (*section, error) {
	if !d.Has(name) {
		return nil, invalid(chosen, d.otherSection(name), "section [%s] not found in %s", name, d.file.name)
	}
	if err := d.file.problem(name); err != nil {
		return nil, err
	}
	values, _ := d.file.get(name)
	text := func(key string) Value[string] {
		v := values[key]
		if v.value == "" {
			return Value[string]{}
		}
		return Value[string]{v.value, Source{FromProfile, fmt.Sprintf("key %s of [%s] (%s:%d)", key, name, d.file.name, v.number)}}
	}
	s := &section{name: name, file: d.file.name, text: text, auth: text("auth_type")}
	if v := text("client_secret"); v.Given() {
		s.secrets = append(s.secrets, candidate{AuthM2M, v.Source, aSecret, v.Value})
	}
	if v := text("token"); v.Given() {
		s.secrets = append(s.secrets, candidate{AuthPAT, v.Source, aToken, v.Value})
	}
	if host := text("host"); host.Given() {
		w, err := ParseWorkspace(host.Value, host.Source)
		if err != nil {
			return nil, err
		}
		if id := values["workspace_id"].value; w.WorkspaceID == "" && digitsOnly(id) {
			w.WorkspaceID = id
		}
		s.workspace = Value[Workspace]{w, host.Source}
	}
	if id := text("client_id"); id.Given() {
		checked, err := clientID(credential.Trim(id.Value), id.Source)
		if err != nil {
			return nil, err
		}
		s.clientID = Value[string]{checked, id.Source}
	}
	return s, nil
}

// otherSection is the hint for a section that does not exist or lacks a key.
func (d *DatabricksFile) otherSection(wrong string) string {
	names := slices.DeleteFunc(d.file.sections(), func(s string) bool { return s == databricksSettings || s == wrong })
	if len(names) == 0 {
		return "name another file in DATABRICKS_CONFIG_FILE, or give --host and --client-id"
	}
	return "name one of these with --databricks-profile: " + strings.Join(names, ", ")
}

// Import is a secret from a section of a .databrickscfg, with its host and client ID.
type Import struct {
	Section string
	File    string
	Secret  credential.Secret

	section *section
}

func (im Import) String() string { return im.section.String() }

// Import reads the section that chosen named.
func (d *DatabricksFile) Import(name string, chosen Source) (Import, error) {
	s, err := d.section(name, chosen)
	if err != nil {
		return Import{}, err
	}
	values, _ := d.file.get(name)
	for _, key := range []string{"host", "client_id", "client_secret"} {
		if values[key].value == "" {
			return Import{}, &Error{Name: s.String(), Problem: "has no key " + key, Fix: d.otherSection(name)}
		}
	}
	secret, err := ParseSecret(aSecret, s.secrets[0].value, s.secrets[0].from)
	return Import{Section: name, File: d.file.name, Secret: secret, section: s}, err
}

// WithoutSecret returns the file without the section's client_secret line, otherwise
// unchanged. It reports false if the section has another secret or none.
func (d *DatabricksFile) WithoutSecret(section string, secret credential.Secret) ([]byte, bool) {
	values, _ := d.file.get(section)
	if secret.IsZero() || !credential.NewSecret(values["client_secret"].value).Equal(secret) {
		return nil, false
	}
	d.file.remove(section, "client_secret")
	return d.file.bytes(), true
}

// readSection applies the chosen section. Its values have the precedence of what chose
// it. With those of an imported section every other source must agree.
func (r *resolver) readSection() {
	c := &r.conf
	var chosen Value[string]
	var s *section
	var err error
	if im := r.in.Import; im != nil {
		s = im.section
	} else if chosen = get(r, "databricks-profile", "", oneLine); !chosen.Given() {
		return
	} else if s, err = r.openSection(chosen); err != nil {
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
	if r.in.Import != nil {
		c.DatabricksProfile.Source = s.workspace.Source // the keychain has its secret from now on
		return
	}
	r.section, c.DatabricksProfile = s, chosen
}

// merge uses a section's value unless a stronger source has another one. An equally
// strong source must agree. It reports whether the section's value is in use.
func merge[T any](r *resolver, ours *Value[T], theirs Value[T], s *section, chosen Value[string], show func(T) string) bool {
	from := ours.Source
	switch {
	case !theirs.Given():
	case !ours.Given():
		*ours = theirs
	case show(ours.Value) == show(theirs.Value):
	case r.in.Import == nil && (from.Origin == FromOption || from.Origin > chosen.Source.Origin):
		return false
	case r.in.Import != nil || from.Origin == chosen.Source.Origin:
		r.fail(invalid(from, "leave "+from.String()+" out, or name another section with --databricks-profile",
			"names %s, and %s is for %s", sanitize.Quote(show(ours.Value)), s, show(theirs.Value)))
	default:
		r.note(from.String(), "not used: "+chosen.Source.String()+" chooses the section ["+chosen.Value+"]")
		*ours = theirs
	}
	return true
}

// candidates lists the section's secrets without those of another target: each belongs to
// its section's host, and to its client ID. An auth_type selects one of two.
func (s *section) candidates(r *resolver) []candidate {
	if s == nil {
		return nil
	}
	var out []candidate
	for _, w := range s.secrets {
		why, id := "", r.conf.ClientID.Value
		switch {
		case !s.workspace.Given():
			why = "its section names no host"
		case w.auth == AuthM2M && !s.clientID.Given():
			why = "its section names no client_id"
		case s.clientID.Given() && id != s.clientID.Value:
			why = "it belongs to the section's client_id, and the target's client ID is " + id
		case len(s.secrets) > 1 && (s.auth.Value == AuthM2M || s.auth.Value == AuthPAT) && s.auth.Value != w.auth:
			why = s.auth.Source.String() + " says " + s.auth.Value
		default:
			out = append(out, w)
			continue
		}
		r.note(w.from.String(), "not used: "+why)
	}
	return out
}

func (r *resolver) openSection(chosen Value[string]) (*section, error) {
	file, err := r.in.Databricks()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid(chosen.Source, "name the file in DATABRICKS_CONFIG_FILE, or leave "+chosen.Source.String()+" out",
			"section [%s] not found: %v", chosen.Value, err)
	}
	if err != nil {
		return nil, err
	}
	return file.section(chosen.Value, chosen.Source)
}
