package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Input is everything that a Config is made from.
type Input struct {
	Options  map[string][]string // by option name, without dashes
	Environ  map[string]string   // an empty variable counts as unset
	Dir      string              // the working directory, for relative paths
	Profiles func() (*Profiles, error)
	// Databricks reads the .databrickscfg when a section is chosen. Without a file it
	// is nil or returns fs.ErrNotExist.
	Databricks func() (*DatabricksFile, error)
	// ProfilesPath is named in errors about a profile that does not exist.
	ProfilesPath string
	// NewProfile allows a profile that does not exist yet; the environment then sets
	// what the options do not.
	NewProfile bool
	// NoEndpoint makes endpoint and instance optional.
	NoEndpoint bool
	// NoTarget resolves no target at all.
	NoTarget bool
	// Listens is set for a program that is a server itself, whatever --refresh is.
	Listens bool
	// Import, if not nil, sets host and client ID.
	Import *Import
}

// raw is a setting's text and its source.
type raw struct {
	text []string
	from Source
}

type resolver struct {
	in        Input
	profile   map[string]raw // nil: no profile in use
	name      string
	section   *section   // of a .databrickscfg; nil: none in use
	candidate *candidate // the chosen credential; nil: none is configured
	// noClient is the client ID that was ignored for a user.
	noClient string
	noGitHub string // why GitHub's token service cannot be used
	conf     Config
	err      error
}

// Resolve makes a Config. Its errors are *Error and name the option, variable
// or key at fault and its place.
func Resolve(in Input) (Config, error) {
	r := &resolver{in: in}
	r.conf.Nested = in.Environ["LAKEBASE_TOKEN_EXPIRES_AT"] != ""
	if !in.NoTarget {
		if err := r.openProfile(); err != nil {
			return Config{}, err
		}
		r.target()
		r.postgres()
	}
	r.behavior()
	if r.err == nil && !in.NoTarget {
		r.complete()
	}
	if r.err == nil && !in.NoTarget {
		r.secret()
	}
	if r.err != nil {
		return Config{}, r.err
	}
	r.ignoredVariables()
	return r.conf, nil
}

func (r *resolver) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *resolver) note(name, why string) {
	r.conf.Notes = append(r.conf.Notes, Note{name, why})
}

func (r *resolver) openProfile() error {
	v := r.lookup(byOption("profile"))
	if v.text == nil {
		return nil
	}
	name := v.text[len(v.text)-1]
	if name == "" {
		return errorf(v.from, "is empty").withFix("give a value, or leave the option out")
	}
	r.conf.Profile = Value[string]{name, v.from}
	profiles, err := r.in.Profiles()
	if err != nil {
		return err
	}
	if profiles == nil || !profiles.Has(name) {
		if r.in.NewProfile {
			return nil
		}
		e := &Error{Name: v.from.String(), Problem: "profile " + sanitize.Quote(name) + " not found in " + r.in.ProfilesPath,
			Fix: "create it with: lakebase-credential-helper login --profile " + name + " --host … --client-id … --endpoint …"}
		if profiles != nil && len(profiles.Names()) > 0 {
			e.Fix = "name one of these with --profile: " + strings.Join(profiles.Names(), ", ")
		}
		return e
	}
	r.name = name
	r.profile, err = profiles.values(name)
	return err
}

func byOption(name string) Setting {
	for _, s := range settings {
		if s.Option == name {
			return s
		}
	}
	panic("config: no setting " + name)
}

// lookup returns a setting's text: the option's, else for the target's settings that of
// the profile or, without a profile, of the environment; for the others that of the
// environment, else of the profile.
func (r *resolver) lookup(s Setting) raw {
	if v := r.in.Options[s.Option]; len(v) > 0 {
		return raw{v, Source{FromOption, "--" + s.Option}}
	}
	return r.lookupBelow(s)
}

// lookupBelow is lookup without the options.
func (r *resolver) lookupBelow(s Setting) raw {
	if s.Target && r.profile != nil {
		return r.profile[s.Option]
	}
	for _, name := range s.Env {
		if v := r.in.Environ[name]; v != "" {
			return raw{[]string{v}, Source{FromEnvironment, name}}
		}
	}
	return r.profile[s.Option]
}

// get parses one setting; def is its default.
func get[T any](r *resolver, option string, def T, parse func(string, Source) (T, error)) Value[T] {
	v := r.lookup(byOption(option))
	if v.text == nil {
		return Value[T]{Value: def}
	}
	text := v.text[len(v.text)-1]
	if text == "" { // only an option can be given and empty
		r.fail(errorf(v.from, "is empty").withFix("give a value, or leave the option out"))
		return Value[T]{Value: def}
	}
	t, err := parse(text, v.from)
	if err != nil {
		r.fail(err)
	}
	return Value[T]{t, v.from}
}

func trimmed[T any](parse func(string, Source) (T, error)) func(string, Source) (T, error) {
	return func(s string, from Source) (T, error) { return parse(credential.Trim(s), from) }
}

// word is get for a setting whose values and default are in the table.
func (r *resolver) word(option string) Value[string] {
	s := byOption(option)
	return get(r, option, s.Default, oneOf(s.Words))
}

func between(min, max time.Duration) func(string, Source) (time.Duration, error) {
	return func(s string, from Source) (time.Duration, error) { return duration(s, from, min, max) }
}

func (r *resolver) path(s string, from Source) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errorf(from, "contains a NUL").withFix("remove the NUL character")
	}
	if filepath.IsAbs(s) || r.in.Dir == "" {
		return filepath.Clean(s), nil
	}
	return filepath.Join(r.in.Dir, s), nil
}

// ignoredVariables notes the target's variables that a profile overrides.
func (r *resolver) ignoredVariables() {
	if r.profile == nil {
		return
	}
	for _, s := range settings {
		if !s.Target || len(r.in.Options[s.Option]) > 0 {
			continue
		}
		for _, name := range s.Env {
			if r.in.Environ[name] != "" && !(r.in.Import != nil && s.Option == "databricks-profile") {
				r.note(name, "not used: profile "+sanitize.Quote(r.name)+" defines the target")
			}
		}
	}
}

// complete checks that the target is complete.
func (r *resolver) complete() {
	c := &r.conf
	if c.User.Value == "" {
		c.User.Value = c.ClientID.Value
	}
	r.need("host", c.Workspace.Value.IsZero())
	r.need("client-id", c.ClientID.Value == "" && c.Auth.Value != "" && hasClientID(c.Auth.Value))
	if r.in.NoEndpoint {
		return
	}
	r.need("endpoint", c.Target() == "")
	if c.TTL.Value != 0 && r.err == nil && (c.Instance.Value != "" || c.Credential.Value == CredentialWorkspace) {
		r.fail(&Error{Name: c.TTL.Source.String(), Problem: "is for the database credentials of an endpoint alone; other tokens live as long as the workspace says", Fix: "leave it out"})
	}
}

func (r *resolver) need(option string, missing bool) {
	if !missing || r.err != nil {
		return
	}
	s := byOption(option)
	key, or, and := s.Key, "", ""
	if option == "endpoint" {
		i := byOption("instance")
		key, or, and = key+" or "+i.Key, " or --"+i.Option, ", or --"+i.Option+" ("+i.Env[0]+") for Lakebase Provisioned"
	}
	if r.profile != nil {
		r.fail(&Error{Name: "profile " + sanitize.Quote(r.name), Problem: "has no key " + key + " (" + r.in.ProfilesPath + ")", Fix: "add it to the profile, or give --" + option + or})
		return
	}
	r.fail(&Error{Name: "--" + option, Problem: "not given, and " + strings.Join(s.Env, " and ") + " not set", Fix: "give one of them" + and + ", or name a profile with --profile"})
}
