package config

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func (r *resolver) target() {
	c := &r.conf
	c.Workspace = get(r, "host", Workspace{}, ParseWorkspace)
	c.ClientID = get(r, "client-id", "", trimmed(clientID))
	r.imported()
	r.readSection()
	c.Audience = r.audience()
	r.auth()
	r.github()
	c.Endpoint = ofEither(r, "endpoint", "instance", endpoint)
	c.Instance = ofEither(r, "instance", "endpoint", instance)
	if c.Endpoint.Value != "" && c.Instance.Value != "" {
		r.fail(&Error{Name: c.Instance.Source.String(), Problem: "stands beside " + c.Endpoint.Source.String() + ": which one is the target?", Fix: "give one of them: an endpoint of Lakebase Autoscaling, or an instance of Lakebase Provisioned"})
	}
	c.Credential = get(r, "credential", CredentialDatabase, words(CredentialDatabase, CredentialWorkspace))
	if r.in.Options["read-only"] != nil {
		c.ReadOnly = Value[bool]{true, Source{FromOption, "--read-only"}}
	}
}

// audience goes into the address that GitHub's token is asked for at.
func (r *resolver) audience() Value[string] {
	v := ownOrNone(r, "audience", func(s string, from Source) (string, error) {
		if s = strings.TrimSpace(s); s == "" || hasControl(s) || len(s) > 512 {
			return "", errorf(from, "is not an audience: it is blank, has a control character in it, or is longer than 512 bytes")
		}
		return s, nil
	})
	if !v.Given() && r.section != nil {
		return r.section.audience
	}
	return v
}

// ofEither is get for one of the two kinds of target: where an option names the
// other kind, a lower source's value is dropped.
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
	c.ChildSSLMode = get(r, "child-sslmode", c.SSLMode.Value, words(VerifyFull, VerifyCA, Require))
	c.SSLRootCert = get(r, "sslrootcert", "", r.rootCert)
	c.CACert = get(r, "cacert", "", r.path)
}

// ofTarget is get for what belongs to the target: where an option names the
// target, a lower source's value is another one's and is not even looked at. A
// lower source's host may be the read-write one, which --read-only must not use.
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

// ofClient drops a user of a lower source that is no more than that source's
// client id, or the person who signs in there, where an option names another client.
func ofClient(r *resolver, v Value[string]) Value[string] {
	if r.noClient != "" && v.Value == r.noClient && v.Given() && v.Source.Origin != FromOption {
		r.note(v.Source.String(), "not used: it is the client id, and "+r.conf.Auth.Value+" has none")
		return Value[string]{}
	}
	if r.conf.ClientID.Source.Origin != FromOption || !v.Given() || v.Source.Origin == FromOption {
		return v
	}
	lower, auth := r.below(byOption("client-id")), r.below(byOption("auth"))
	itself := lower.text != nil && strings.TrimSpace(lower.text[0]) == v.Value
	person := v.Source.Origin == FromProfile && auth.text != nil && credential.IsPerson(auth.text[0])
	if !itself && !person {
		return v
	}
	r.note(v.Source.String(), "not used: --client-id names another identity")
	return Value[string]{Value: r.conf.ClientID.Value}
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
		return "", errorf(from, "%s is not one of %s, %s (%s only as an option)", sanitize.Quote(s), VerifyFull, Require, Require)
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
