// Package cache owns what is remembered between runs: database tokens, the list
// of what is stored, and the stamp of a proven login. It makes one mint serve
// any number of processes. A cache, lock or stamp that fails costs time, never
// the result; it must never prompt, and never write a secret outside its store.
package cache

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Store holds small secret items by account. Peek and Put never prompt; a store
// that is locked, slow or absent answers with an error.
type Store interface {
	Peek(ctx context.Context, account string) (credential.Secret, error)
	Put(ctx context.Context, account string, item credential.Secret) error
	Delete(ctx context.Context, account string) error
}

// Files is the runtime folder as far as stamps and cached files need it.
type Files interface {
	ReadFile(name string, max int64) ([]byte, error)
	WriteFile(name string, data []byte) error // 0600, atomic
	Remove(name string) error
}

// Cache remembers for one user on one machine. Every field but Now may be left
// out: without a Store nothing is cached, without LockDir nobody waits for
// another, without Files no login is taken as proven.
type Cache struct {
	Store   Store
	LockDir string // a folder that is ours and closed to others
	Files   Files
	Now     func() time.Time
	Told    func(what string, err error) // of failures that cost time only; may be nil
	Waiting func()                       // called before a wait for another process; may be nil

	lost atomic.Int64
}

// Over is the same cache over another store.
func (c *Cache) Over(s Store) *Cache {
	return &Cache{Store: s, LockDir: c.LockDir, Files: c.Files, Now: c.Now, Told: c.Told, Waiting: c.Waiting}
}

// Entry is one cached token with what is known beside it.
type Entry struct {
	Token        credential.Token
	DatabaseHost string // as the endpoint named it; empty when it was not asked
	User         string // as the workspace named it; empty when it was not asked
	Fingerprint  string // of the secret that it was minted with
}

// Want says which entries are good enough.
type Want struct {
	MinLife      time.Duration          // the least that must be left of a token's life
	Fingerprint  string                 // when not empty: minted with this secret
	Refused      credential.Secret      // a token that the server has refused
	DatabaseHost func(host string) bool // when not nil: must accept the entry's host
}

// Good says whether e serves.
func (w Want) Good(e Entry, now time.Time) bool {
	switch {
	case !e.Token.Fresh(now, w.MinLife):
		return false
	case w.Fingerprint != "" && w.Fingerprint != e.Fingerprint:
		return false
	case !w.Refused.IsZero() && w.Refused.Equal(e.Token.Value):
		return false
	}
	return w.DatabaseHost == nil || w.DatabaseHost(e.DatabaseHost)
}

// Result is an entry and how it came to be.
type Result struct {
	Entry  Entry
	Cached bool
	saved  chan struct{}
}

// Saved waits until a minted entry is stored, or ctx ends. It is called before
// the process is given up, so that what was paid for is not lost.
func (r Result) Saved(ctx context.Context) {
	if r.saved == nil {
		return
	}
	select {
	case <-r.saved:
	case <-ctx.Done():
	}
}

// Lookup reads key's entry, whether it is still good or not. A locked, slow,
// absent, foreign or unreadable one is a miss.
func (c *Cache) Lookup(ctx context.Context, key credential.Key) (Entry, bool) {
	e, err := c.read(ctx, key)
	return e, err == nil
}

func (c *Cache) read(ctx context.Context, key credential.Key) (Entry, error) {
	if c.Store == nil {
		return Entry{}, errNoStore
	}
	begin := time.Now()
	text, err := c.Store.Peek(ctx, account(key))
	if err != nil && !IsMissing(err) {
		c.lost.Add(int64(time.Since(begin)))
		c.told("reading the cached token", err)
	}
	if err != nil {
		return Entry{}, err
	}
	e, err := decode(text, key)
	if err != nil {
		c.told("reading the cached token", err)
	}
	return e, err
}

// Lost is the time that went into reading a store that did not answer.
func (c *Cache) Lost() time.Duration { return time.Duration(c.lost.Load()) }

func (c *Cache) told(what string, err error) {
	if c.Told != nil {
		c.Told(what, err)
	}
}

// Save stores an entry that was minted outside Fetch.
func (c *Cache) Save(ctx context.Context, key credential.Key, e Entry) { c.save(ctx, key, e) }

// Describe tells what the token item of account is for.
func (c *Cache) Describe(ctx context.Context, account string) (Description, error) {
	text, err := c.Store.Peek(ctx, account)
	if err != nil {
		return Description{}, err
	}
	return describe(text)
}

// Tokens describes every cached token that can be read.
func (c *Cache) Tokens(ctx context.Context) []Description {
	list, err := c.Index().List(ctx)
	if err != nil {
		return nil
	}
	var out []Description
	for _, a := range list {
		if d, err := c.Describe(ctx, a); strings.HasPrefix(a, TokenPrefix) && err == nil {
			out = append(out, d)
		}
	}
	return out
}
