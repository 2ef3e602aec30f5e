package config

import (
	"errors"
	"fmt"
	"io/fs"
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
	audience  Value[string]
	secret    *candidate // nil: none, or another target's
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
		drop(&s.secret, "it belongs to the section's client_id, and the target's client id is "+c.ClientID.Value)
		drop(&s.token, "the target's client id is "+c.ClientID.Value)
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
		if s.secret != nil && s.token != nil && (s.auth.Value == credential.AuthM2M || s.auth.Value == credential.AuthPAT) && s.auth.Value != w.auth {
			r.note(w.from.String(), "not used: "+s.auth.Source.String()+" says "+s.auth.Value)
			continue
		}
		out = append(out, *w)
	}
	return out
}

func sectionName(s string, from Source) (string, error) {
	if s = strings.TrimSpace(s); s == "" || hasControl(s) {
		return "", errorf(from, "%s is not the name of a section", sanitize.Quote(s))
	}
	return s, nil
}

func (r *resolver) openSection(chosen Value[string]) (*section, error) {
	fail := func(why string) error {
		return &Error{Name: chosen.Source.String(), Problem: fmt.Sprintf("names the section [%s], and %s", chosen.Value, why), Fix: "name the file in DATABRICKS_CONFIG_FILE, or leave " + chosen.Source.String() + " out"}
	}
	if r.in.Databricks == nil {
		return nil, fail("there is no .databrickscfg")
	}
	file, err := r.in.Databricks()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail("there is no such file: " + err.Error())
	case err != nil:
		return nil, err
	case file == nil:
		return nil, fail("there is no .databrickscfg")
	}
	return file.section(chosen)
}

// warnPlaintext recommends the keychain for a client secret in plain text.
func (r *resolver) warnPlaintext() {
	s := r.section
	r.conf.Warnings = append(r.conf.Warnings, Note{s.secret.from.String(),
		"the secret is stored in plain text; move it to the keychain with: lakebase-credential-helper login --import --databricks-profile " + s.name})
}
