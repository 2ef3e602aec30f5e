package cache

import (
	"errors"
)

// health is what a read tells of its store.
type health int

const (
	serving health = iota // it answered, if only that there is nothing
	locked                // whoever leads may have it unlocked
	silent                // it did not answer, or not sensibly: it may be slow, or hang
	absent                // there is no store
)

var errNoStore = errors.New("there is no store")

// healthOf reads a store's error. Stores tell what it means by methods, so that
// this package knows none of them.
func healthOf(err error) health {
	var e interface {
		Locked() bool
		Absent() bool
	}
	switch {
	case err == nil, IsMissing(err), errors.Is(err, errUnreadable), errors.Is(err, errForeign):
		return serving
	case errors.Is(err, errNoStore):
		return absent
	case errors.As(err, &e) && e.Absent():
		return absent
	case errors.As(err, &e) && e.Locked():
		return locked
	}
	return silent
}

// IsMissing says whether a store's error means "there is none".
func IsMissing(err error) bool {
	var m interface{ Missing() bool }
	return errors.As(err, &m) && m.Missing()
}
