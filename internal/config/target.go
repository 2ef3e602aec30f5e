package config

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func (r *resolver) target() {
	c := &r.conf
	c.Workspace = get(r, "host", Workspace{}, ParseWorkspace)
	if v := r.lookup(byOption("host")); v.text != nil && namesPage(v.text[len(v.text)-1]) && !c.Workspace.Value.IsZero() {
		r.note(v.from.String(), "the page is not used, only "+c.Workspace.Value.String())
	}
	c.ClientID = get(r, "client-id", "", trimmed(clientID))
	r.applyImport()
	r.readSection()
	c.AuthOptions = r.authOptions()
	r.auth()
	r.github()
	c.Endpoint = ofEither(r, "endpoint", "instance", endpoint)
	c.Instance = ofEither(r, "instance", "endpoint", instance)
	if c.Endpoint.Value != "" && c.Instance.Value != "" {
		r.fail(&Error{Name: c.Instance.Source.String(), Problem: "conflicts with " + c.Endpoint.Source.String(), Fix: "give one of them: an endpoint of Lakebase Autoscaling, or an instance of Lakebase Provisioned"})
	}
	c.Credential = r.word("credential")
	if r.in.Options["read-only"] != nil {
		c.ReadOnly = Value[bool]{true, Source{FromOption, "--read-only"}}
	}
}

// ofEither is get for one of the two kinds of target: if an option names the other kind,
// weaker sources are ignored.
func ofEither(r *resolver, option, other string, parse func(string, Source) (string, error)) Value[string] {
	v := r.lookup(byOption(option))
	if len(r.in.Options[other]) > 0 && v.text != nil && v.from.Origin != FromOption {
		r.note(v.from.String(), "not used: --"+other+" names another target")
		return Value[string]{}
	}
	return get(r, option, "", trimmed(parse))
}

func (r *resolver) postgres() {
	c := &r.conf
	c.PGHost = ofTarget(r, "pghost", "", trimmed(databaseHost))
	c.PGPort = ofTarget(r, "pgport", 5432, trimmed(port))
	c.PGHostAddr = get(r, "pghostaddr", "", trimmed(databaseHostAddr))
	c.Database = get(r, "database", "databricks_postgres", database)
	c.User = ofClient(r, get(r, "user", c.ClientID.Value, user))
	c.SSLMode = get(r, "sslmode", VerifyFull, r.sslmode)
	c.ChildSSLMode = get(r, "child-sslmode", c.SSLMode.Value, oneOf(byOption("child-sslmode").Words))
	c.SSLRootCert = get(r, "sslrootcert", "", r.rootCert)
	c.CACert = get(r, "cacert", "", r.path)
}

// ofTarget is get for properties of the target: if an option names the target, values of
// weaker sources belong to another one and are ignored. With --read-only their host may
// be the read-write one.
func ofTarget[T any](r *resolver, option string, def T, parse func(string, Source) (T, error)) Value[T] {
	v, why := r.lookup(byOption(option)), ""
	switch from := r.conf.TargetFrom(); {
	case from.Origin == FromOption:
		why = from.Name + " names another target"
	case option == "pghost" && r.conf.ReadOnly.Value:
		why = "with --read-only the workspace is asked for the host"
	}
	if why != "" && v.text != nil && v.from.Origin != FromOption {
		r.note(v.from.String(), "not used: "+why)
		return Value[T]{Value: def}
	}
	return get(r, option, def, parse)
}

// ofClient ignores a user of a weaker source that is just that source's client ID or
// signed-in user, if an option names another client.
func ofClient(r *resolver, v Value[string]) Value[string] {
	if r.noClient != "" && v.Value == r.noClient && v.Given() && v.Source.Origin != FromOption {
		r.note(v.Source.String(), "not used: it is the client ID, and "+r.conf.Auth.Value+" has none")
		return Value[string]{}
	}
	if r.conf.ClientID.Source.Origin != FromOption || !v.Given() || v.Source.Origin == FromOption {
		return v
	}
	lower, auth := r.lookupBelow(byOption("client-id")), r.lookupBelow(byOption("auth"))
	itself := lower.text != nil && strings.TrimSpace(lower.text[0]) == v.Value
	signedIn := v.Source.Origin == FromProfile && auth.text != nil && !hasClientID(auth.text[0])
	if !itself && !signedIn {
		return v
	}
	r.note(v.Source.String(), "not used: --client-id names another identity")
	return Value[string]{Value: r.conf.ClientID.Value}
}

// sslmode lets only an option weaken the verification of the server.
func (r *resolver) sslmode(s string, from Source) (string, error) {
	switch {
	case s == VerifyFull:
	case s == Require && from.Origin == FromOption:
		return Require, nil
	case (s == Require || s == verifyCA) && from.Origin != FromOption:
		r.note(from.String(), s+" is raised to "+VerifyFull)
	case s == "disable" || s == "allow" || s == "prefer":
		return "", &Error{Name: from.String(), Problem: s + " would send the token over a connection that is not verified",
			Fix: "use " + VerifyFull + ", or as an option --sslmode " + Require}
	default:
		return "", errorf(from, "%s is not one of %s, %s (%s only as an option)", sanitize.Quote(s), VerifyFull, Require, Require).withFix("use " + VerifyFull + ", or as an option --sslmode " + Require)
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
