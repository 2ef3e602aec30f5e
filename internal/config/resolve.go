package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Input is everything that a Config is made of. Nothing else is looked at.
type Input struct {
	Options  map[string][]string // by option name, without dashes
	Environ  map[string]string   // an empty variable counts as unset
	Dir      string              // the working directory, for relative paths
	Profiles func() (*Profiles, error)
	// ProfilesPath is named in errors about a profile that does not exist.
	ProfilesPath string
	// NewProfile lets the profile be one that does not exist yet; the
	// environment then gives what the options leave open.
	NewProfile bool
	// NoEndpoint lets the endpoint be left out.
	NoEndpoint bool
	// NoTarget lets the whole target be left out.
	NoTarget bool
}

// raw is a setting's text and where it came from.
type raw struct {
	text []string
	from Source
}

type resolver struct {
	in      Input
	profile map[string]raw // nil: no profile in use
	name    string
	conf    Config
	err     error
}

// Resolve makes a Config. Its errors are *Error and name the option, variable
// or key at fault and where it stands.
func Resolve(in Input) (Config, error) {
	r := &resolver{in: in}
	if !in.NoTarget {
		if err := r.openProfile(); err != nil {
			return Config{}, err
		}
		r.target()
		r.postgres()
	}
	r.behaviour()
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
	name := v.text[0]
	r.conf.Profile = Value[string]{name, v.from}
	profiles, err := r.in.Profiles()
	if err != nil {
		return err
	}
	if profiles == nil || !profiles.Has(name) {
		if r.in.NewProfile {
			return nil
		}
		e := &Error{Name: v.from.String(), Problem: "there is no profile " + Quote(name) + " in " + r.in.ProfilesPath,
			Fix: "make it with: lakebase-credential-helper login --profile " + name + " --host … --client-id … --endpoint …"}
		if profiles != nil && len(profiles.Names()) > 0 {
			e.Fix = "there are: " + strings.Join(profiles.Names(), ", ")
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

// lookup finds a setting's text: an option first; of the target's settings then
// the profile's alone, or without one the environment's; of the others the
// environment's, then the profile's.
func (r *resolver) lookup(s Setting) raw {
	if v := r.in.Options[s.Option]; len(v) > 0 {
		return raw{v, Source{FromOption, "--" + s.Option}}
	}
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

// get reads one setting through its grammar; absent, it is def.
func get[T any](r *resolver, option string, def T, parse func(string, Source) (T, error)) Value[T] {
	v := r.lookup(byOption(option))
	if v.text == nil {
		return Value[T]{V: def}
	}
	text := v.text[len(v.text)-1]
	if text == "" { // only an option can be given and empty
		r.fail(bad(v.from, "is empty"))
		return Value[T]{V: def}
	}
	t, err := parse(text, v.from)
	if err != nil {
		r.fail(err)
	}
	return Value[T]{t, v.from}
}

func trimmed[T any](parse func(string, Source) (T, error)) func(string, Source) (T, error) {
	return func(s string, from Source) (T, error) { return parse(strings.TrimSpace(s), from) }
}

func words(list ...string) func(string, Source) (string, error) {
	return func(s string, from Source) (string, error) { return oneOf(s, from, list...) }
}

func between(min, max time.Duration) func(string, Source) (time.Duration, error) {
	return func(s string, from Source) (time.Duration, error) { return duration(s, from, min, max) }
}

func (r *resolver) path(s string, from Source) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", bad(from, "has a NUL in it")
	}
	if filepath.IsAbs(s) || r.in.Dir == "" {
		return filepath.Clean(s), nil
	}
	return filepath.Join(r.in.Dir, s), nil
}

func (r *resolver) target() {
	c := &r.conf
	c.Workspace = get(r, "host", Workspace{}, ParseWorkspace)
	c.ClientID = get(r, "client-id", "", trimmed(clientID))
	c.Endpoint = get(r, "endpoint", "", trimmed(endpoint))
}

func (r *resolver) postgres() {
	c := &r.conf
	c.PGHost = get(r, "pghost", "", trimmed(databaseHost))
	c.PGPort = get(r, "pgport", 5432, trimmed(port))
	if c.Endpoint.From.Origin == FromOption {
		// A host and port of another source belong to that source's endpoint.
		if dropLower(&c.PGHost, "") {
			r.note("PGHOST", "not used: --endpoint names another target")
		}
		dropLower(&c.PGPort, 5432)
	}
	c.PGHostAddr = get(r, "pghostaddr", "", trimmed(databaseHostAddr))
	c.Database = get(r, "database", "databricks_postgres", database)
	c.User = get(r, "user", c.ClientID.V, user)
	c.SSLMode = get(r, "sslmode", VerifyFull, r.sslmode)
	c.ChildSSLMode = get(r, "child-sslmode", c.SSLMode.V, words(VerifyFull, VerifyCA, Require))
	c.SSLRootCert = get(r, "sslrootcert", "", r.rootCert)
	c.CACert = get(r, "cacert", "", r.path)
}

// dropLower puts v back to def unless an option gave it, and says whether it did.
func dropLower[T any](v *Value[T], def T) bool {
	if !v.Given() || v.From.Origin == FromOption {
		return false
	}
	*v = Value[T]{V: def}
	return true
}

// sslmode never lets anything but an option weaken the check of the server.
func (r *resolver) sslmode(s string, from Source) (string, error) {
	switch {
	case s == VerifyFull:
	case s == Require && from.Origin == FromOption:
		return Require, nil
	case (s == Require || s == VerifyCA) && from.Origin != FromOption:
		r.note(from.String(), s+" is raised to "+VerifyFull)
	case s == "disable" || s == "allow" || s == "prefer":
		return "", &Error{Name: from.String(), Problem: s + " would send the token over a connection that is not verified",
			Fix: "use " + VerifyFull + ", or as an option --sslmode " + Require}
	default:
		return "", bad(from, "%s is not one of %s, %s (%s only as an option)", Quote(s), VerifyFull, Require, Require)
	}
	return VerifyFull, nil
}

// rootCert takes libpq's word "system" as what it means: the system's bundle,
// by its path, since libpq before 16 reads the word as a file's name.
func (r *resolver) rootCert(s string, from Source) (string, error) {
	if s == "system" {
		return "", nil
	}
	return r.path(s, from)
}

func (r *resolver) behaviour() {
	c := &r.conf
	c.TTL = get(r, "ttl", 0, between(minTTL, maxTTL))
	c.MinTTL = get(r, "min-ttl", 15*time.Minute, between(0, maxTTL))
	c.Wait = get(r, "wait", WaitAuto, words(WaitAuto, WaitAlways, WaitNever))
	c.WaitTimeout = get(r, "wait-timeout", time.Minute, between(minTimeout, maxWait))
	c.Timeout = get(r, "timeout", time.Minute, between(minTimeout, maxWait))
	c.KeychainTimeout = get(r, "keychain-timeout", 0, between(minTimeout, maxWait))
	c.Cache = get(r, "cache", CacheKeychain, words(CacheKeychain, CacheFile, CacheOff))
	c.RuntimeDir = get(r, "runtime-dir", "", r.path)
	c.LogFormat = get(r, "log-format", "text", words("text", "json"))
	r.keep()
	r.log()
}

func (r *resolver) keep() {
	v := r.lookup(byOption("keep"))
	if v.text == nil {
		return
	}
	var names []string
	for _, t := range v.text {
		if v.from.Origin == FromOption {
			names = append(names, t)
			continue
		}
		names = append(names, strings.FieldsFunc(t, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })...)
	}
	r.conf.Keep = Value[[]string]{names, v.from}
}

func (r *resolver) log() {
	r.conf.Log = Value[string]{V: LogNormal}
	if v := r.in.Environ[envLog]; v != "" {
		from := Source{FromEnvironment, envLog}
		level, err := oneOf(v, from, LogQuiet, LogNormal, LogVerbose)
		if err != nil {
			r.fail(err)
		}
		r.conf.Log = Value[string]{level, from}
	}
	verbose, quiet := r.in.Options["verbose"] != nil, r.in.Options["quiet"] != nil
	switch {
	case verbose && quiet:
		r.fail(&Error{Name: "--verbose", Problem: "cannot be used with --quiet"})
	case verbose:
		r.conf.Log = Value[string]{LogVerbose, Source{FromOption, "--verbose"}}
	case quiet:
		r.conf.Log = Value[string]{LogQuiet, Source{FromOption, "--quiet"}}
	}
}

// ignoredVariables notes the target variables that a profile leaves unused.
func (r *resolver) ignoredVariables() {
	if r.profile == nil {
		return
	}
	for _, s := range settings {
		if !s.Target || len(r.in.Options[s.Option]) > 0 {
			continue
		}
		for _, name := range s.Env {
			if r.in.Environ[name] != "" {
				r.note(name, "not used: profile "+Quote(r.name)+" gives the target")
			}
		}
	}
}

// complete checks that the target is whole.
func (r *resolver) complete() {
	c := &r.conf
	if c.User.V == "" {
		c.User.V = c.ClientID.V
	}
	r.need("host", c.Workspace.V.IsZero())
	r.need("client-id", c.ClientID.V == "")
	r.need("endpoint", c.Endpoint.V == "" && !r.in.NoEndpoint)
}

func (r *resolver) need(option string, missing bool) {
	if !missing || r.err != nil {
		return
	}
	s := byOption(option)
	if r.profile != nil {
		r.fail(&Error{Name: "profile " + Quote(r.name), Problem: "has no key " + s.Key + " (" + r.in.ProfilesPath + ")", Fix: "add it to the profile, or give --" + option})
		return
	}
	r.fail(&Error{Name: "--" + option, Problem: "not given, and " + strings.Join(s.Env, " and ") + " not set", Fix: "give one of them, or name a profile with --profile"})
}

// secret decides where the service principal's secret is to be had. What the
// environment holds counts only for the target that the environment names.
func (r *resolver) secret() {
	if v := r.in.Options["client-secret-file"]; len(v) > 0 {
		from := Source{FromOption, "--client-secret-file"}
		p, err := r.path(v[len(v)-1], from)
		if err != nil {
			r.fail(err)
		}
		r.conf.Secret = SecretSource{Kind: SecretInFile, Path: p, From: from}
		return
	}
	text, file := r.in.Environ[envSecret], r.in.Environ[envSecretFile]
	if text == "" && file == "" {
		return
	}
	if why := r.foreign(); why != "" {
		for _, name := range []string{envSecret, envSecretFile} {
			if r.in.Environ[name] != "" {
				r.note(name, "not used: "+why)
			}
		}
		return
	}
	switch {
	case text != "" && file != "":
		r.fail(&Error{Name: envSecret, Problem: "stands beside " + envSecretFile + ": which one counts?", Fix: "unset one of them"})
	case file != "":
		from := Source{FromEnvironment, envSecretFile}
		p, err := r.path(file, from)
		if err != nil {
			r.fail(err)
		}
		r.conf.Secret = SecretSource{Kind: SecretInFile, Path: p, From: from}
	default:
		s := strings.TrimSpace(text)
		if s == "" || hasControl(s) {
			r.fail(&Error{Name: envSecret, Problem: "is not a secret: it is blank or has a control character in it"})
		}
		r.conf.Secret = SecretSource{Kind: SecretInEnvironment, Text: credential.NewSecret(s), From: Source{FromEnvironment, envSecret}}
	}
}

// foreign says why the environment's secret is another target's, or nothing.
func (r *resolver) foreign() string {
	if h := r.in.Environ["DATABRICKS_HOST"]; h != "" {
		w, err := ParseWorkspace(h, Source{FromEnvironment, "DATABRICKS_HOST"})
		if err != nil || w.HostPort() != r.conf.Workspace.V.HostPort() {
			return "it belongs to DATABRICKS_HOST, and the target is " + r.conf.Workspace.V.HostPort()
		}
	}
	if id := strings.TrimSpace(r.in.Environ["DATABRICKS_CLIENT_ID"]); id != "" && id != r.conf.ClientID.V {
		return "it belongs to DATABRICKS_CLIENT_ID, and the target's client id is " + r.conf.ClientID.V
	}
	return ""
}
