// Package tokencache caches database and workspace tokens across processes, and lets
// concurrent processes share one mint. If a store or a lock fails, it mints a token
// itself. It never prompts.
package tokencache

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

// Store stores items by the ID of a credential.Key. It does not prompt, and is safe for
// concurrent use by several processes.
type Store interface {
	// Get returns an item. The error is fs.ErrNotExist if there is none.
	Get(ctx context.Context, id string) (credential.Secret, error)
	// Set replaces an item, which the store may drop after it expires.
	Set(ctx context.Context, id string, item credential.Secret, expires time.Time) error
	// Delete removes items. It ignores items that do not exist.
	Delete(ctx context.Context, ids ...string) error
	// List returns the IDs of all items, none if the store does not exist.
	List(ctx context.Context) ([]string, error)
}

// Observer receives the events of a Cache.
type Observer interface {
	CacheFailed(what string, err error) // not returned to the caller
	CacheWaits()                        // for the mint of another process
}

// Options configure a Cache.
type Options struct {
	Store    Store  // nil: no cache
	LockDir  string // accessible to the user only; empty: no locks
	Observer Observer
	Now      func() time.Time
}

// Cache caches tokens in one store. It is safe for concurrent use.
type Cache struct{ o Options }

// New returns a Cache. Observer and Now must be set.
func New(o Options) *Cache { return &Cache{o} }

// Entry is a token with the facts that were requested with it.
type Entry struct {
	Token        credential.Token
	DatabaseHost string // of the endpoint; empty if not requested
	User         string // from the workspace; empty if not requested
	Fingerprint  string // of the secret that the token was minted with
}

// Criteria are the requirements on a cached entry.
type Criteria struct {
	MinLife      time.Duration          // minimum remaining life
	Fingerprint  string                 // of the secret, if not empty
	Refused      credential.Secret      // a token that the server has refused
	DatabaseHost func(host string) bool // if not nil: reports whether the host is acceptable
}

// Match reports whether e meets the criteria at the time now.
func (c Criteria) Match(e Entry, now time.Time) bool {
	switch {
	case !e.Token.Fresh(now, c.MinLife):
		return false
	case c.Fingerprint != "" && c.Fingerprint != e.Fingerprint:
		return false
	case !c.Refused.IsZero() && c.Refused.Equal(e.Token.Value):
		return false
	}
	return c.DatabaseHost == nil || c.DatabaseHost(e.DatabaseHost)
}

// Result is an entry and where it came from.
type Result struct {
	Entry
	Cached bool
}

// Get returns the stored entry if it matches want, otherwise the result of mint, which it
// stores. Only one process at a time mints for a key; the others wait for half of the
// time left until the deadline of ctx. Its errors are those of mint.
func (c *Cache) Get(ctx context.Context, key credential.Key, want Criteria, mint func(context.Context) (Entry, error)) (Result, error) {
	e, err := c.read(ctx, key)
	if err == nil && want.Match(e, c.o.Now()) {
		return Result{e, true}, nil
	}
	works := usable(err)
	if works {
		name := key.ID()[:32] + ".lock"
		unlock, free := c.TryLock(name)
		if !free {
			c.o.Observer.CacheWaits()
			unlock = c.Lock(ctx, name) // a stopped process may hold it: the wait is limited
		}
		defer unlock()
		if e, err = c.read(ctx, key); err == nil && want.Match(e, c.o.Now()) {
			return Result{e, true}, nil
		}
	}
	if e, err = mint(ctx); err != nil {
		return Result{}, err
	}
	if works {
		c.Save(ctx, key, e)
	}
	return Result{e, false}, nil
}

// TryLock takes the named lock and reports false if another process holds it. It reports
// true without a lock directory or support for locks.
func (c *Cache) TryLock(name string) (unlock func(), ok bool) {
	return c.takeLock(name, filelock.TryLock)
}

// WaitLock is like TryLock, but waits until ctx ends.
func (c *Cache) WaitLock(ctx context.Context, name string) (unlock func(), ok bool) {
	return c.takeLock(name, func(path string) (func(), bool, error) { return filelock.Lock(ctx, path) })
}

func (c *Cache) takeLock(name string, take func(path string) (func(), bool, error)) (unlock func(), ok bool) {
	if c.o.LockDir == "" {
		return func() {}, true
	}
	unlock, ok, err := take(filepath.Join(c.o.LockDir, name))
	if err != nil {
		c.o.Observer.CacheFailed("taking a lock", err)
		return unlock, true
	}
	return unlock, ok
}

// Lock is like WaitLock, but waits for half of the time left until the deadline of ctx
// (30 s without a deadline), and then continues without the lock.
func (c *Cache) Lock(ctx context.Context, name string) (unlock func()) {
	left := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, left/2)
	defer cancel()
	unlock, _ = c.WaitLock(ctx, name)
	return unlock
}

// Lookup returns the stored entry of key, without any criteria.
func (c *Cache) Lookup(ctx context.Context, key credential.Key) (Entry, bool) {
	e, err := c.read(ctx, key)
	return e, err == nil
}

func (c *Cache) read(ctx context.Context, key credential.Key) (Entry, error) {
	if c.o.Store == nil {
		return Entry{}, errNoStore
	}
	id := key.ID()
	text, err := c.o.Store.Get(ctx, id)
	var e Entry
	if err == nil {
		e, err = decode(text, id)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.o.Observer.CacheFailed("reading the cached token", err)
	}
	return e, err
}

// saveTimeout limits storing a token, which continues if ctx ends.
const saveTimeout = 3 * time.Second

// Save stores an entry.
func (c *Cache) Save(ctx context.Context, key credential.Key, e Entry) {
	if c.o.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := c.o.Store.Set(ctx, key.ID(), encode(key, e), e.Token.ExpiresAt); err != nil {
		c.o.Observer.CacheFailed("storing the token", err)
	}
}

var errNoStore = errors.New("no store")

// usable reports whether a store can be written to after a read that returned err. A
// locked keychain can: minting may unlock it.
func usable(err error) bool {
	var locked interface{ Locked() bool }
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnreadable) || errors.Is(err, errForeign) ||
		errors.As(err, &locked) && locked.Locked()
}
