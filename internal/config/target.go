package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// target resolves workspace, identity, and endpoint or instance.
func (r *resolver) target() {
	c := &r.conf
	c.Workspace = get(r, "host", Workspace{}, ParseWorkspace)
	if c.Workspace.Value.page {
		r.note(c.Workspace.Source.String(), "the page is not used, only "+c.Workspace.Value.String())
	}
	c.ClientID = get(r, "client-id", "", trimmed(clientID))
	r.readSection()
	r.authOptions()
	r.auth()
	r.scope()
	r.github()
	c.Endpoint = r.ofEither("endpoint", "instance", endpoint)
	c.Instance = r.ofEither("instance", "endpoint", instance)
	if c.Endpoint.Value != "" && c.Instance.Value != "" {
		r.fail(invalid(c.Instance.Source, "give one of them: an endpoint of Lakebase Autoscaling, or an instance of Lakebase Provisioned",
			"conflicts with %s", c.Endpoint.Source))
	}
	c.Credential = r.word("credential")
	if r.in.Options["read-only"] != nil {
		c.ReadOnly = Value[bool]{true, Source{FromOption, "--read-only"}}
	}
	c.Pooled = get(r, "pooled", false, yesOrNo)
}

// ofEither resolves one kind of target; an option for the other kind overrides it.
func (r *resolver) ofEither(option, other string, parse func(string, Source) (string, error)) Value[string] {
	why := ""
	if len(r.in.Options[other]) > 0 {
		why = "--" + other + " names another target"
	}
	return getUnless(r, option, "", why, trimmed(parse))
}

// postgres resolves how to connect to the database. If an option names the target, host
// and port of weaker sources belong to another one and are ignored. With --read-only
// or --pooled their host may be another one of the endpoint's.
func (r *resolver) postgres() {
	c := &r.conf
	otherPort := ""
	if from := c.Target().Source; from.Origin == FromOption {
		otherPort = from.Name + " names another target"
	}
	otherHost := otherPort
	switch {
	case c.ReadOnly.Value:
		otherHost = cmp.Or(otherPort, "with --read-only the workspace is asked for the host")
	case c.Pooled.Value:
		otherHost = cmp.Or(otherPort, "with --pooled the workspace is asked for the host")
	}
	c.PGHost = getUnless(r, "pghost", "", otherHost, trimmed(hostName))
	if IsPooled(c.PGHost.Value) && !c.Pooled.Value {
		c.Warnings = append(c.Warnings, Note{c.PGHost.Source.String(), c.PGHost.Value + " is a pooled host: " + PooledLimits})
	}
	c.PGPort = getUnless(r, "pgport", 5432, otherPort, trimmed(numberTo(maxPort)))
	c.PGHostAddr = get(r, "pghostaddr", "", trimmed(databaseHostAddr))
	c.Database = get(r, "database", "databricks_postgres", database)
	c.User = r.ofClient(get(r, "user", c.ClientID.Value, user))
	c.SSLMode = get(r, "sslmode", VerifyFull, r.sslmode)
	c.ChildSSLMode = get(r, "child-sslmode", c.SSLMode.Value, oneOf(byOption("child-sslmode").Words))
	c.SSLRootCert = get(r, "sslrootcert", "", r.rootCert)
	c.CACert = get(r, "cacert", "", r.path)
}

// ofClient ignores a user of a weaker source that is just the client ID, which is the
// default, or that source's client ID or signed-in user, if another identity is used.
func (r *resolver) ofClient(v Value[string]) Value[string] {
	client, why := r.conf.ClientID, ""
	id, auth := r.lookupBelow(byOption("client-id")), r.lookupBelow(byOption("auth"))
	switch {
	case !v.Given() || v.Source.Origin == FromOption:
		return v
	case v.Value == client.Value: // a profile with this name would keep it when its client ID changes
		return Value[string]{Value: client.Value}
	case id.text != nil && strings.TrimSpace(id.last()) == v.Value:
		why = "it is the client ID of another identity"
	case (client.Source.Origin == FromOption || r.in.Import.Given()) && v.Source.Origin == FromProfile &&
		auth.text != nil && !hasClientID(auth.last()):
		why = client.Source.String() + " names another identity"
	default:
		return v
	}
	r.note(v.Source.String(), "not used: "+why)
	return Value[string]{Value: client.Value}
}

// sslmode lets only an option weaken the verification of the server.
func (r *resolver) sslmode(s string, from Source) (string, error) {
	const fix = "use " + VerifyFull + ", or as an option --sslmode " + Require
	switch {
	case s == Require && from.Origin == FromOption:
		return Require, nil
	case s == Require || s == verifyCA && from.Origin != FromOption:
		r.note(from.String(), s+" is raised to "+VerifyFull)
	case s == "disable" || s == "allow" || s == "prefer":
		return "", invalid(from, fix, "%s would send the token over a connection that is not verified", s)
	case s != VerifyFull:
		return "", rejected(s, from, fix, "is not one of "+VerifyFull+", "+Require+" ("+Require+" only as an option)")
	}
	return VerifyFull, nil
}

// rootCert replaces libpq's "system" by the system's bundle, as libpq before 16 reads it
// as a file name.
func (r *resolver) rootCert(s string, from Source) (string, error) {
	if s == "system" {
		return "", nil
	}
	return r.path(s, from)
}

// behavior resolves the settings that are not part of the target.
func (r *resolver) behavior() {
	c := &r.conf
	c.TTL = get(r, "ttl", 0, between(minTTL, maxTTL))
	c.MinTTL = get(r, "min-ttl", 15*time.Minute, between(0, maxTTL))
	c.Wait = r.word("wait")
	c.WaitTimeout = get(r, "wait-timeout", time.Minute, between(minTimeout, maxWait))
	c.Timeout = get(r, "timeout", time.Minute, between(minTimeout, maxWait))
	c.KeychainTimeout = get(r, "keychain-timeout", 0, between(minTimeout, maxWait))
	c.Cache = r.word("cache")
	r.refresh()
	c.RuntimeDir = get(r, "runtime-dir", "", r.path)
	c.LogFormat = r.word("log-format")
	c.Keep = r.names("keep")
	r.set()
	r.log()
}

// refresh resolves the settings of a command that outlives its token.
func (r *resolver) refresh() {
	c := &r.conf
	c.Refresh = r.word("refresh")
	c.OnRefresh = get(r, "on-refresh", onRefreshNone, onRefresh)
	c.Listen = get(r, "listen", "", r.listen)
	c.MaxConnections = get(r, "max-connections", 1000, numberTo(maxConnections))
	c.MaxWaiting = get(r, "max-waiting", c.MaxConnections.Value, numberTo(maxConnections))
	c.StatusFile = get(r, "status-file", "", r.path)
	c.HealthListen = get(r, "health-listen", "", listenAddress)
	require := func(mode string, satisfied bool, options ...string) {
		for _, o := range options {
			if !satisfied && !r.in.Listens && len(r.in.Options[o]) > 0 {
				r.fail(&Error{Name: "--" + o, Problem: "requires " + mode, Fix: "add --refresh proxy, or leave --" + o + " out"})
			}
		}
	}
	require("--refresh passfile or --refresh proxy", c.Refresh.Value != RefreshOff, "on-refresh", "status-file", "health-listen")
	require("--refresh proxy", c.Refresh.Value == RefreshProxy, "listen", "max-connections", "max-waiting")
}

// names resolves a list of variables: a repeatable option, or a list in a profile.
func (r *resolver) names(option string) Value[[]string] {
	v := r.lookup(byOption(option))
	var names []string
	for _, t := range v.text {
		if v.from.Origin == FromOption {
			names = append(names, t)
		} else {
			names = append(names, strings.FieldsFunc(t, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })...)
		}
	}
	return Value[[]string]{names, v.from}
}

// set resolves --url-var, --set NAME=TEMPLATE, and the profile's set.NAME keys.
func (r *resolver) set() {
	urls := r.names("url-var")
	for _, name := range urls.Value {
		r.conf.Set = append(r.conf.Set, SetVar{name, "{url}", urls.Source})
	}
	from := Source{FromOption, "--set"}
	taken := map[string]bool{}
	for _, text := range r.in.Options["set"] {
		name, template, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			r.fail(invalid(from, "write it as --set DATABASE_URL={url}", "is not NAME=TEMPLATE"))
		}
		taken[name] = true
		r.conf.Set = append(r.conf.Set, SetVar{name, template, from})
	}
	for _, key := range slices.Sorted(maps.Keys(r.profile)) {
		if name, ok := strings.CutPrefix(key, setPrefix); ok && !taken[name] {
			v := r.profile[key]
			r.conf.Set = append(r.conf.Set, SetVar{name, v.last(), v.from})
		}
	}
}

func (r *resolver) log() {
	log := &r.conf.Log
	log.Value = LogNormal
	if v := r.in.Environ["LAKEBASE_LOG"]; v != "" {
		text := Value[string]{v, Source{FromEnvironment, "LAKEBASE_LOG"}}
		*log = parsed(r, text, oneOf([]string{LogQuiet, LogNormal, LogVerbose}))
	}
	verbose, quiet := r.in.Options["verbose"] != nil, r.in.Options["quiet"] != nil
	switch {
	case verbose && quiet:
		r.fail(&Error{Name: "--verbose", Problem: "cannot be used with --quiet", Fix: "leave one of them out"})
	case verbose:
		*log = Value[string]{LogVerbose, Source{FromOption, "--verbose"}}
	case quiet:
		*log = Value[string]{LogQuiet, Source{FromOption, "--quiet"}}
	}
}
