package config

import "strings"

func (r *resolver) target() {
	c := &r.conf
	c.Workspace = get(r, "host", Workspace{}, ParseWorkspace)
	c.ClientID = get(r, "client-id", "", trimmed(clientID))
	r.imported()
	c.Endpoint = get(r, "endpoint", "", trimmed(endpoint))
}

func (r *resolver) postgres() {
	c := &r.conf
	c.PGHost = ofEndpoint(r, "pghost", "", trimmed(databaseHost))
	c.PGPort = ofEndpoint(r, "pgport", 5432, trimmed(port))
	c.PGHostAddr = get(r, "pghostaddr", "", trimmed(databaseHostAddr))
	c.Database = get(r, "database", "databricks_postgres", database)
	c.User = ofClient(r, get(r, "user", c.ClientID.V, user))
	c.SSLMode = get(r, "sslmode", VerifyFull, r.sslmode)
	c.ChildSSLMode = get(r, "child-sslmode", c.SSLMode.V, words(VerifyFull, VerifyCA, Require))
	c.SSLRootCert = get(r, "sslrootcert", "", r.rootCert)
	c.CACert = get(r, "cacert", "", r.path)
}

// ofEndpoint is get for what belongs to the endpoint: where an option names the
// endpoint, a lower source's value is another one's and is not even looked at.
func ofEndpoint[T any](r *resolver, option string, def T, parse func(string, Source) (T, error)) Value[T] {
	v := r.lookup(byOption(option))
	if r.conf.Endpoint.From.Origin == FromOption && v.text != nil && v.from.Origin != FromOption {
		r.note(v.from.String(), "not used: --endpoint names another target")
		return Value[T]{V: def}
	}
	return get(r, option, def, parse)
}

// ofClient drops a user of a lower source that is no more than that source's
// client id, where an option names another client.
func ofClient(r *resolver, v Value[string]) Value[string] {
	if r.conf.ClientID.From.Origin != FromOption || !v.Given() || v.From.Origin == FromOption {
		return v
	}
	lower := r.below(byOption("client-id"))
	if lower.text == nil || strings.TrimSpace(lower.text[0]) != v.V {
		return v
	}
	r.note(v.From.String(), "not used: --client-id names another identity")
	return Value[string]{V: r.conf.ClientID.V}
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
