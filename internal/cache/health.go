package cache

import (
	"errors"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// health is what a read tells of its store.
type health int

const (
	serving health = iota // it answered, if only that there is nothing, or that it is locked
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
		return serving // whoever leads may have it unlocked
	}
	return silent
}

// IsMissing says whether a store's error means "there is none".
func IsMissing(err error) bool {
	var m interface{ Missing() bool }
	return errors.As(err, &m) && m.Missing()
}

func markName(key credential.Key) string { return key.ID()[:32] + ".saved" }

// markSaved remembers that the store has taken a token of this key.
func (c *Cache) markSaved(key credential.Key) {
	if c.Files == nil {
		return
	}
	if err := c.Files.WriteFile(markName(key), []byte(strconv.FormatInt(c.Now().UnixNano(), 10))); err != nil {
		c.told("marking the store", err)
	}
}

// savedLately says whether the store has taken a token that may still live.
func (c *Cache) savedLately(key credential.Key) bool {
	if c.Files == nil {
		return false
	}
	data, err := c.Files.ReadFile(markName(key), 64)
	if err != nil {
		return false
	}
	at, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	age := c.Now().UnixNano() - at
	return err == nil && age >= 0 && age < int64(credential.MaxLife)
}
