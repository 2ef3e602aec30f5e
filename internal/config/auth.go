package config

import (
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// candidate is an authentication type whose credential is configured.
type candidate struct {
	auth string // name of an AuthType
	from Source
	// read validates and returns the credential. It is called only for the chosen one.
	read func() (SecretSource, error)
}

// auth selects the authentication type: the stated one, else that of a configured
// credential, else the section's. Credentials of two types are an error. Without any
// of them the keychain decides.
func (r *resolver) auth() {
	if r.err != nil { // the variables' target is unknown
		return
	}
	c := &r.conf
	stated, ways := r.statedAuth(), r.candidates()
	if r.err != nil {
		return
	}
	if !stated.Given() {
		ways = r.singleType(ways)
	}
	switch {
	case stated.Given():
		c.Auth = stated
		r.checkOption(ways)
	case len(ways) > 0:
		c.Auth = Value[string]{ways[0].auth, ways[0].from}
	case r.section != nil && r.section.auth.Given():
		c.Auth = r.authWord(r.section.auth)
	}
	r.pick(ways)
	r.dropClientID()
}

// singleType rejects candidates of different types. It ignores a personal access token
// in the environment if an option or a profile names a service principal: a stray
// variable must not change the identity.
func (r *resolver) singleType(ways []candidate) []candidate {
	for _, w := range ways {
		if w.auth != ways[0].auth {
			r.fail(conflictError(ways[0].from, ways[0].auth, w.from, w.auth))
			return nil
		}
	}
	id := r.conf.ClientID
	return slices.DeleteFunc(ways, func(w candidate) bool {
		stray := w.auth == AuthPAT && w.from.Origin == FromEnvironment && id.Value != "" && id.Source.Origin != FromEnvironment
		if stray {
			r.note(w.from.String(), "not used: "+id.Source.String()+" names a service principal; --auth "+w.auth+" would choose it")
		}
		return stray
	})
}

// pick selects the first candidate of the chosen type, and notes the others.
func (r *resolver) pick(ways []candidate) {
	word := r.conf.Auth
	for _, w := range ways {
		switch {
		case w.auth != word.Value:
			r.note(w.from.String(), "not used: "+word.Source.String()+" says "+word.Value)
		case r.candidate == nil:
			r.candidate = &w
		default:
			r.note(w.from.String(), "not used: "+r.candidate.from.String()+" takes precedence")
		}
	}
}

// statedAuth returns the explicit authentication type. One in the environment is for
// the environment's target only.
func (r *resolver) statedAuth() Value[string] {
	if im := r.in.Import; im != nil {
		return r.statedByImport(im)
	}
	v := ownOrNone(r, "auth", func(s string, _ Source) (string, error) { return s, nil })
	if !v.Given() {
		return v
	}
	return r.authWord(v)
}

// statedByImport is statedAuth for an import, which is a service principal's secret.
func (r *resolver) statedByImport(im *Import) Value[string] {
	v := r.lookup(byOption("auth"))
	switch {
	case v.text == nil || v.from.Origin == FromEnvironment:
		return Value[string]{AuthM2M, im.ClientID.Source}
	case v.text[0] != AuthM2M:
		r.fail(&Error{Name: v.from.String(), Problem: "says " + sanitize.Quote(v.text[0]) + ", and " + im.String() + " has a secret for " + AuthM2M, Fix: "give --auth " + AuthM2M})
	}
	return Value[string]{AuthM2M, v.from}
}

// authWord validates an authentication type; the Databricks SDKs have more.
func (r *resolver) authWord(v Value[string]) Value[string] {
	word := strings.TrimSpace(v.Value)
	if !slices.Contains(AuthTypeNames(), word) {
		r.fail(errorf(v.Source, "%s is not one of %s", sanitize.Quote(word), strings.Join(AuthTypeNames(), ", ")).withFix("choose one of them with --auth"))
	}
	return Value[string]{word, v.Source}
}

// ownOrNone is get without variables that belong to another target.
func ownOrNone(r *resolver, option string, parse func(string, Source) (string, error)) Value[string] {
	v := r.lookup(byOption(option))
	if v.text != nil && v.from.Origin == FromEnvironment {
		if why := r.foreignTo(""); why != "" {
			r.note(v.from.String(), "not used: "+why)
			return Value[string]{}
		}
	}
	return get(r, option, "", parse)
}

// checkOption rejects an option that the chosen type ignores.
func (r *resolver) checkOption(ways []candidate) {
	for _, w := range ways {
		if w.from.Origin == FromOption && w.auth != r.conf.Auth.Value {
			r.fail(conflictError(w.from, w.auth, r.conf.Auth.Source, r.conf.Auth.Value))
		}
	}
}

func conflictError(a Source, aWord string, b Source, bWord string) *Error {
	return &Error{Name: a.String(), Problem: "selects " + aWord + ", but " + b.String() + " selects " + bWord,
		Fix: "choose with --auth " + aWord + " or --auth " + bWord + ", or leave one of them out"}
}

// dropClientID ignores a client ID if the chosen type is not a service principal's.
func (r *resolver) dropClientID() {
	c := &r.conf
	if hasClientID(c.Auth.Value) || c.ClientID.Value == "" {
		return
	}
	if c.ClientID.Source.Origin == FromOption {
		r.fail(&Error{Name: c.ClientID.Source.String(), Problem: "names a service principal, and " + c.Auth.Source.String() + " chooses " + c.Auth.Value + ", which has none",
			Fix: "leave it out, or choose with --auth " + AuthM2M})
		return
	}
	r.note(c.ClientID.Source.String(), "not used: "+c.Auth.Value+" has no client ID")
	r.noClient, c.ClientID = c.ClientID.Value, Value[string]{}
}
