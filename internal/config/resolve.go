package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Input is everything that a Config is made from.
type Input struct {
	Options  map[string][]string // by option name, without dashes
	Environ  map[string]string   // an empty variable counts as unset
	Dir      string              // the working directory, for relative paths
	Profiles func() (*Profiles, error)
	// Databricks reads the .databrickscfg.
	Databricks func() (*DatabricksFile, error)
	NewProfile bool          // the profile need not exist; the environment then sets what the options do not
	NoEndpoint bool          // endpoint and instance are optional
	NoTarget   bool          // no target is resolved at all
	Listens    bool          // the program is a server itself, whatever --refresh is
	Import     Value[string] // if given, the section of the .databrickscfg that sets host, client ID and secret
}

// raw is a setting's text and its source.
type raw struct {
	text []string
	from Source
}

func (v raw) last() string { return v.text[len(v.text)-1] }

type resolver struct {
	in           Input
	profile      map[string]raw // nil: no profile in use
	profilesPath string         // of the profile in use
	section      *section       // of a .databrickscfg; nil: none in use
	conf         Config
	err          error
}

// Resolve makes a Config. Its errors are *Error and name the source of the value at fault.
func Resolve(in Input) (Config, error) {
	r := &resolver{in: in}
	r.conf.Nested = in.Environ["LAKEBASE_TOKEN_EXPIRES_AT"] != ""
	for _, s := range settings {
		if slices.Contains(in.Options[s.Option], "") {
			return Config{}, invalid(Source{FromOption, "--" + s.Option}, "give a value, or leave the option out", "is empty")
		}
	}
	if !in.NoTarget {
		if err := r.openProfile(); err != nil {
			return Config{}, err
		}
		r.target()
		r.postgres()
	}
	r.behavior()
	if !in.NoTarget {
		r.complete()
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
	name := v.last()
	r.conf.Profile = Value[string]{name, v.from}
	profiles, err := r.in.Profiles()
	switch {
	case err != nil:
		return err
	case profiles.Has(name):
		r.profilesPath = profiles.name
		r.profile, err = profiles.values(name)
		return err
	case r.in.NewProfile:
		return nil
	}
	fix := "create it with: lakebase-credential-helper login --profile " + sanitize.ShellWord(name) + " --host … --endpoint … and --client-id …, or --user-login"
	if len(profiles.names) > 0 {
		fix = "name one of these with --profile: " + strings.Join(profiles.names, ", ")
	}
	return invalid(v.from, fix, "profile %s not found in %s", sanitize.Quote(name), profiles.name)
}

func byOption(name string) Setting {
	s, ok := LookupSetting("--" + name)
	if !ok {
		panic("config: no setting " + name)
	}
	return s
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
	return getUnless(r, option, def, "", parse)
}

// getUnless is get, but ignores and notes the value of a weaker source than an option if
// why is not empty.
func getUnless[T any](r *resolver, option string, def T, why string, parse func(string, Source) (T, error)) Value[T] {
	v := r.lookup(byOption(option))
	switch {
	case v.text == nil:
		return Value[T]{Value: def}
	case why != "" && v.from.Origin != FromOption:
		r.note(v.from.String(), "not used: "+why)
		return Value[T]{Value: def}
	}
	return parsed(r, Value[string]{v.last(), v.from}, parse)
}

func parsed[T any](r *resolver, text Value[string], parse func(string, Source) (T, error)) Value[T] {
	t, err := parse(text.Value, text.Source)
	if err != nil {
		r.fail(err)
	}
	return Value[T]{t, text.Source}
}

// getOwn is get without variables that belong to another target.
func getOwn(r *resolver, option string, parse func(string, Source) (string, error)) Value[string] {
	why := ""
	if r.lookup(byOption(option)).from.Origin == FromEnvironment {
		why = r.foreign("")
	}
	return getUnless(r, option, "", why, parse)
}

func trimmed[T any](parse func(string, Source) (T, error)) func(string, Source) (T, error) {
	return func(s string, from Source) (T, error) { return parse(credential.Trim(s), from) }
}

// word is get for a setting whose values and default are in the table.
func (r *resolver) word(option string) Value[string] {
	s := byOption(option)
	return get(r, option, s.Default, oneOf(s.Words))
}

func (r *resolver) path(s string, from Source) (string, error) {
	switch {
	case filepath.IsAbs(s) || r.in.Dir == "":
		return filepath.Clean(s), nil
	case s != "" && os.IsPathSeparator(s[0]): // Windows: on the drive of the directory
		return filepath.Clean(filepath.VolumeName(r.in.Dir) + s), nil
	}
	return filepath.Join(r.in.Dir, s), nil
}

// ignoredVariables notes the target's variables that a profile overrides.
func (r *resolver) ignoredVariables() {
	for _, s := range settings {
		if r.profile == nil || !s.Target || len(r.in.Options[s.Option]) > 0 {
			continue
		}
		for _, name := range s.Env {
			if r.in.Environ[name] != "" && name != r.conf.DatabricksProfile.Source.Name {
				r.note(name, "not used: profile "+sanitize.Quote(r.conf.Profile.Value)+" defines the target")
			}
		}
	}
}

// complete checks that the target is complete.
func (r *resolver) complete() {
	c := &r.conf
	if c.Native() {
		r.completeNative()
		return
	}
	r.need("host", c.Workspace.Value.IsZero())
	r.need("client-id", c.ClientID.Value == "" && c.Auth.Value != "" && hasClientID(c.Auth.Value))
	if r.in.NoEndpoint {
		return
	}
	r.need("endpoint", c.Target().Value == "")
	if c.TTL.Value != 0 && (c.Instance.Value != "" || c.Credential.Value == CredentialWorkspace) {
		r.fail(invalid(c.TTL.Source, "leave it out",
			"is for the database credentials of an endpoint alone; other tokens live as long as the workspace says"))
	}
}

// completeNative checks the target of a native password, which no workspace is asked for.
func (r *resolver) completeNative() {
	c := &r.conf
	for _, option := range []string{"endpoint", "instance", "pooled", "read-only", "credential", "ttl"} {
		from := r.lookup(byOption(option)).from
		if option == "pooled" && c.Pooled.Value || option != "pooled" && from.Origin == FromOption {
			r.fail(invalid(from, "leave it out; --pghost names the database host",
				"cannot be used with a native password, which is for a database host"))
		}
	}
	r.need("pghost", c.PGHost.Value == "")
	r.need("user", c.User.Value == "")
	for _, mode := range []Value[string]{c.SSLMode, c.ChildSSLMode} {
		if mode.Value != VerifyFull { // the server may ask for the password itself
			r.fail(invalid(mode.Source, "leave it out; --sslrootcert verifies a server whose certificate is of a private authority",
				"%s would send a password that does not expire to a server that is not verified", mode.Value))
		}
	}
}

func (r *resolver) need(option string, missing bool) {
	s, or := byOption(option), ""
	if option == "endpoint" {
		or = ", or --instance (LAKEBASE_INSTANCE) for Lakebase Provisioned"
	}
	switch {
	case !missing:
	case r.profile != nil:
		r.fail(&Error{Name: "profile " + sanitize.Quote(r.conf.Profile.Value), Problem: "has no key " + s.Key + " (" + r.profilesPath + ")",
			Fix: "add it to the profile, or give --" + option + or})
	default:
		r.fail(&Error{Name: "--" + option, Problem: "not given, and " + strings.Join(s.Env, " and ") + " not set",
			Fix: "give one of them" + or + ", or name a profile with --profile"})
	}
}
