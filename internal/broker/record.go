package broker

import (
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// Record is what Rotate remembers about the secrets that it made, so that it
// deletes no other, and knows after an interruption how far it had come. It
// holds no secret.
type Record struct {
	Version int         `json:"version"`
	Current *MadeSecret `json:"current,omitempty"` // the stored one, where its id is known
	Next    *NextSecret `json:"next,omitempty"`    // made, and perhaps not stored yet
	Making  *Making     `json:"making,omitempty"`  // asked for; nothing is known of the answer
	Strays  []string    `json:"strays,omitempty"`  // ids that came up while one was being made
	Due     []DueSecret `json:"due,omitempty"`
}

// RecordVersion is that of Record's form.
const RecordVersion = 1

// MadeSecret is a secret that was made here.
type MadeSecret struct {
	ID          string    `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

// NextSecret is a secret that takes the stored one's place, and what is due for
// deletion as soon as it has.
type NextSecret struct {
	MadeSecret
	Replaces []DueSecret `json:"replaces,omitempty"`
}

// Making is written before a secret is asked for: what there was then.
type Making struct {
	Since time.Time `json:"since"`
	Known []string  `json:"known"`
}

// DueSecret is one to be deleted once After has passed; zero is at once.
type DueSecret struct {
	ID          string    `json:"id"`
	After       time.Time `json:"after,omitzero"`
	Fingerprint string    `json:"fingerprint,omitempty"` // where it was made here
}

// SecretFingerprint tells whether a record speaks of this secret, without
// giving it away. It is the same whatever endpoint the secret is used for.
func SecretFingerprint(host, clientID string, secret credential.Secret) string {
	return credential.Key{Identity: "oauth-m2m", Host: host, Principal: clientID, Credential: "secret"}.Fingerprint(secret)
}

// Describes gives the stored secret's entry, where the record has one for it.
func (r Record) Describes(fingerprint string) (MadeSecret, bool) {
	switch {
	case r.Next != nil && r.Next.Fingerprint == fingerprint:
		return r.Next.MadeSecret, true
	case r.Current != nil && r.Current.Fingerprint == fingerprint:
		return *r.Current, true
	}
	return MadeSecret{}, false
}

// Left is what is due for deletion while the secret of this fingerprint is the
// stored one.
func (r Record) Left(fingerprint string) []DueSecret {
	var there []string // what was there when it was written
	if r.Next != nil {
		there = append(there, r.Next.ID)
		for _, d := range r.Next.Replaces {
			there = append(there, d.ID)
		}
	}
	for _, d := range r.Due {
		there = append(there, d.ID)
	}
	r.Making = nil
	return r.settled(fingerprint, there).Due
}

// settled is the record once it is known which secret is stored, by its
// fingerprint, and which there are. What was being made when a run ended is
// then either stored or an orphan.
func (r Record) settled(fingerprint string, there []string) Record {
	r.Due, r.Strays = slices.Clone(r.Due), slices.Clone(r.Strays)
	if n := r.Next; n != nil && n.Fingerprint == fingerprint {
		made := n.MadeSecret
		r.Current, r.Due = &made, append(r.Due, n.Replaces...)
	} else if n != nil {
		r.Due = append(r.Due, DueSecret{ID: n.ID, Fingerprint: n.Fingerprint})
	}
	if r.Current != nil && r.Current.Fingerprint != fingerprint {
		r.Current = nil // a login has stored another one since
	}
	if r.Making != nil {
		for _, id := range there {
			if !slices.Contains(r.Making.Known, id) && !r.knows(id) {
				r.Strays = append(r.Strays, id)
			}
		}
	}
	r.Next, r.Making = nil, nil
	gone := func(id string) bool {
		return !slices.Contains(there, id) || r.Current != nil && r.Current.ID == id
	}
	r.Strays = slices.DeleteFunc(r.Strays, gone)
	r.Due = slices.DeleteFunc(r.Due, func(d DueSecret) bool { return gone(d.ID) })
	return r
}

func (r Record) knows(id string) bool {
	return r.Current != nil && r.Current.ID == id || slices.Contains(r.Strays, id) || r.due(id)
}

func (r Record) due(id string) bool {
	return slices.ContainsFunc(r.Due, func(d DueSecret) bool { return d.ID == id })
}

// notStored says whether the secret of this id is certainly not the one that is
// stored, so that deleting it cannot leave nothing that works.
func (r Record) notStored(id, stored string) bool {
	if r.Current != nil {
		return r.Current.ID != id
	}
	return slices.ContainsFunc(r.Due, func(d DueSecret) bool {
		return d.ID == id && d.Fingerprint != "" && d.Fingerprint != stored
	})
}

// without strikes an id off.
func (r Record) without(id string) Record {
	r.Due = slices.DeleteFunc(slices.Clone(r.Due), func(d DueSecret) bool { return d.ID == id })
	r.Strays = slices.DeleteFunc(slices.Clone(r.Strays), func(s string) bool { return s == id })
	return r
}

// others are the secrets that the record says nothing of, strays among them:
// which of them serves where is not known here.
func (r Record) others(list []exchange.ClientSecret) []exchange.ClientSecret {
	return slices.DeleteFunc(slices.Clone(list), func(s exchange.ClientSecret) bool {
		return r.Current != nil && r.Current.ID == s.ID || r.due(s.ID)
	})
}

func ids(list []exchange.ClientSecret) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.ID
	}
	return out
}
