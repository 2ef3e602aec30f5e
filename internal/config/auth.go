package config

import (
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// way is one way to sign in that somebody has named by giving what it starts from.
type way struct {
	word string // of credential.AuthWords
	from Source
	// read checks what the way starts from and takes it; nothing is looked at
	// before the way is chosen.
	read func() (SecretSource, error)
}

// auth decides on the way in: the one that is named by its word, else the one
// that an option or a variable has something for, else what the section says.
// Two of them are one too many. Nothing named leaves it to the keychain.
func (r *resolver) auth() {
	if r.err != nil { // whose the variables are cannot be told
		return
	}
	c := &r.conf
	stated, ways := r.stated(), r.ways()
	if r.err != nil {
		return
	}
	if !stated.Given() {
		ways = r.oneWay(ways)
	}
	switch {
	case stated.Given():
		c.Auth = stated
		r.checkOption(ways)
	case len(ways) > 0:
		c.Auth = Value[string]{ways[0].word, ways[0].from}
	case r.section != nil && r.section.auth.Given():
		c.Auth = r.authWord(r.section.auth)
	}
	r.pick(ways)
	r.serviceOrPerson()
}

// oneWay refuses two different ways. A personal access token in the environment is
// left out where an option or a profile names a service principal: a variable that
// lies about must not turn it into somebody else.
func (r *resolver) oneWay(ways []way) []way {
	for _, w := range ways {
		if w.word != ways[0].word {
			r.fail(twoWays(ways[0].from, ways[0].word, w.from, w.word))
			return nil
		}
	}
	id := r.conf.ClientID
	return slices.DeleteFunc(ways, func(w way) bool {
		stray := w.word == credential.AuthPAT && w.from.Origin == FromEnvironment && id.Value != "" && id.Source.Origin != FromEnvironment
		if stray {
			r.note(w.from.String(), "not used: "+id.Source.String()+" names a service principal; --auth "+w.word+" would choose it")
		}
		return stray
	})
}

// pick takes the first of the ways that the word means, and notes the others.
func (r *resolver) pick(ways []way) {
	word := r.conf.Auth
	for _, w := range ways {
		switch {
		case w.word != word.Value:
			r.note(w.from.String(), "not used: "+word.Source.String()+" says "+word.Value)
		case r.way == nil:
			r.way = &w
		default:
			r.note(w.from.String(), "not used: "+r.way.from.String()+" goes before it")
		}
	}
}

// stated is the word for the way in, where one is said. One of the environment is
// for the target that the environment names.
func (r *resolver) stated() Value[string] {
	if im := r.in.Import; im != nil {
		return r.statedByImport(im)
	}
	v := ownOrNone(r, "auth", func(s string, _ Source) (string, error) { return s, nil })
	if !v.Given() {
		return v
	}
	return r.authWord(v)
}

// statedByImport: what is imported is a service principal's secret.
func (r *resolver) statedByImport(im *Import) Value[string] {
	v := r.lookup(byOption("auth"))
	switch {
	case v.text == nil || v.from.Origin == FromEnvironment:
		return Value[string]{credential.AuthM2M, im.ClientID.Source}
	case v.text[0] != credential.AuthM2M:
		r.fail(&Error{Name: v.from.String(), Problem: "says " + sanitize.Quote(v.text[0]) + ", and " + im.String() + " has a secret for " + credential.AuthM2M, Fix: "give --auth " + credential.AuthM2M})
	}
	return Value[string]{credential.AuthM2M, v.from}
}

// authWord takes one of our words; the Databricks SDKs have more of them.
func (r *resolver) authWord(v Value[string]) Value[string] {
	word := strings.TrimSpace(v.Value)
	if !slices.Contains(credential.AuthWords(), word) {
		e := errorf(v.Source, "%s is not one of %s", sanitize.Quote(word), strings.Join(credential.AuthWords(), ", "))
		if v.Source.Origin != FromOption {
			e.Fix = "choose one of them with --auth"
		}
		r.fail(e)
	}
	return Value[string]{word, v.Source}
}

// ownOrNone is get, but a variable that belongs to another target is not used.
func ownOrNone(r *resolver, option string, parse func(string, Source) (string, error)) Value[string] {
	v := r.lookup(byOption(option))
	if v.text != nil && v.from.Origin == FromEnvironment {
		if why := r.foreign(""); why != "" {
			r.note(v.from.String(), "not used: "+why)
			return Value[string]{}
		}
	}
	return get(r, option, "", parse)
}

// checkOption refuses an option that the chosen way has no use for: it would
// otherwise be as if it had not been given.
func (r *resolver) checkOption(ways []way) {
	for _, w := range ways {
		if w.from.Origin == FromOption && w.word != r.conf.Auth.Value {
			r.fail(twoWays(w.from, w.word, r.conf.Auth.Source, r.conf.Auth.Value))
		}
	}
}

func twoWays(a Source, aWord string, b Source, bWord string) *Error {
	return &Error{Name: a.String(), Problem: "is for signing in by " + aWord + ", and " + b.String() + " for " + bWord + ": which one counts?",
		Fix: "choose with --auth " + aWord + " or --auth " + bWord + ", or leave one of them out"}
}

// serviceOrPerson drops a client id where the way is not a service principal's.
func (r *resolver) serviceOrPerson() {
	c := &r.conf
	if !credential.IsPerson(c.Auth.Value) || c.ClientID.Value == "" {
		return
	}
	if c.ClientID.Source.Origin == FromOption {
		r.fail(&Error{Name: c.ClientID.Source.String(), Problem: "names a service principal, and " + c.Auth.Source.String() + " chooses " + c.Auth.Value + ", which has none",
			Fix: "leave it out, or choose with --auth " + credential.AuthM2M})
		return
	}
	r.note(c.ClientID.Source.String(), "not used: "+c.Auth.Value+" has no client id")
	r.noClient, c.ClientID = c.ClientID.Value, Value[string]{}
}
