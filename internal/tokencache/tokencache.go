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
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
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
	CacheWaits()                        // for the lock of another process
}

// Cache caches tokens in one store. It is safe for concurrent use.
type Cache struct {
	Store    Store  // nil: no cache
	LockDir  string // accessible to the user only; empty: no locks
	Observer Observer
}

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
	return e.Token.Fresh(now, c.MinLife) &&
		(c.Fingerprint == "" || c.Fingerprint == e.Fingerprint) &&
		(c.Refused.IsZero() || !c.Refused.Equal(e.Token.Value)) &&
		(c.DatabaseHost == nil || c.DatabaseHost(e.DatabaseHost))
}

// Get returns the stored entry if it matches want, otherwise the result of mint, which it
// stores. Only one process at a time mints for a key; see Lock for how long the others
// wait. Its errors are those of mint.
func (c *Cache) Get(ctx context.Context, key credential.Key, want Criteria,
	mint func(context.Context) (Entry, error)) (e Entry, cached bool, err error) {
	e, err = c.Lookup(ctx, key)
	if err == nil && want.Match(e, time.Now()) {
		return e, true, nil
	}
	works := usable(err)
	if works {
		defer c.Lock(ctx, key.ID()[:32]+".lock")()
		if e, err = c.Lookup(ctx, key); err == nil && want.Match(e, time.Now()) {
			return e, true, nil
		}
	}
	e, err = mint(ctx)
	if err == nil && works {
		c.Save(ctx, key, e)
	}
	return e, false, err
}

// TryLock takes the named lock and reports false if another process holds it. It reports
// true without a lock directory or support for locks.
func (c *Cache) TryLock(name string) (unlock func(), ok bool) {
	return c.takeLock(name, securefile.TryLock)
}

// WaitLock is like TryLock, but waits until ctx ends.
func (c *Cache) WaitLock(ctx context.Context, name string) (unlock func(), ok bool) {
	return c.takeLock(name, func(path string) (func(), bool, error) { return securefile.Lock(ctx, path) })
}

func (c *Cache) takeLock(name string, take func(path string) (func(), bool, error)) (unlock func(), ok bool) {
	if c.LockDir == "" {
		return func() {}, true
	}
	unlock, ok, err := take(filepath.Join(c.LockDir, name))
	if err != nil {
		c.Observer.CacheFailed("taking a lock", err)
	}
	return unlock, ok || err != nil
}

// Lock is like WaitLock, but waits for half of the time left until the deadline of ctx
// (30 s without a deadline), as a stopped process may hold the lock, and then continues
// without it.
func (c *Cache) Lock(ctx context.Context, name string) (unlock func()) {
	unlock, ok := c.TryLock(name)
	if ok {
		return unlock
	}
	c.Observer.CacheWaits()
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
func (c *Cache) Lookup(ctx context.Context, key credential.Key) (e Entry, err error) {
	if c.Store == nil {
		return Entry{}, errNoStore
	}
	id := key.ID()
	text, err := c.Store.Get(ctx, id)
	if err == nil {
		e, err = decode(text, id)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Observer.CacheFailed("reading the cached token", err)
	}
	return e, err
}

// saveTimeout limits storing a token, which continues if ctx ends.
const saveTimeout = 3 * time.Second

// Save stores an entry.
func (c *Cache) Save(ctx context.Context, key credential.Key, e Entry) {
	if c.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := c.Store.Set(ctx, key.ID(), encode(key, e), e.Token.ExpiresAt); err != nil {
		c.Observer.CacheFailed("storing the token", err)
	}
}

// ErrQuota is the error of a store that has no space for a token.
var ErrQuota = errors.New("kernel keyring: the user's quota is exceeded (see /proc/sys/kernel/keys)")

var errNoStore = errors.New("no store")

// usable reports whether a store can be written to after a read that returned err. A
// locked keychain can: minting may unlock it.
func usable(err error) bool {
	var locked interface{ Locked() bool }
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnreadable) || errors.Is(err, errForeign) ||
		errors.As(err, &locked) && locked.Locked()
}
