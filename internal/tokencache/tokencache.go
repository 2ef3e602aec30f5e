// Package tokencache keeps database and workspace tokens between runs, and makes
// one mint serve any number of processes. A store or lock that fails costs time,
// never the result. It never prompts.
package tokencache

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

// Store holds token items by ID, which is that of a credential.Key. No call
// prompts. It is safe for use by several processes.
type Store interface {
	// Get returns an item. IsMissing reports whether an error means "no such item".
	Get(ctx context.Context, id string) (credential.Secret, error)
	// Set replaces an item, which the store may drop after it expires.
	Set(ctx context.Context, id string, item credential.Secret, expires time.Time) error
	// Delete removes items. One that does not exist is no error.
	Delete(ctx context.Context, ids ...string) error
	// List returns the IDs of all items; for a store that does not exist, none.
	List(ctx context.Context) ([]string, error)
}

// Observer is told what the caller's user may want to know.
type Observer interface {
	CacheFailed(what string, err error) // it cost time only
	CacheWaits()                        // another process is minting
}

// Options configure a Cache.
type Options struct {
	Store    Store  // nil: nothing is cached
	LockDir  string // belongs to the user and is closed to others; empty: no locks
	Observer Observer
	Now      func() time.Time
}

// Cache reads and fills one store. It is immutable and safe for concurrent use.
type Cache struct{ o Options }

// New returns a Cache. Observer and Now must be set.
func New(o Options) *Cache { return &Cache{o} }

// Entry is a cached token with what was learned when it was minted.
type Entry struct {
	Token        credential.Token
	DatabaseHost string // that the endpoint named; empty if it was not asked
	User         string // that the workspace named; empty if it was not asked
	Fingerprint  string // of the secret it was minted with
}

// Criteria decide which entries are acceptable.
type Criteria struct {
	MinLife      time.Duration          // minimum remaining life
	Fingerprint  string                 // if not empty: minted with this secret
	Refused      credential.Secret      // a token that the server has refused
	DatabaseHost func(host string) bool // if not nil: accepts the entry's host
}

// Match reports whether e is acceptable at the time now.
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

// Get returns an acceptable entry: the stored one, or one that mint makes while no
// other process mints for the same key. ctx must have a deadline; another process
// is waited for during half of the time left. Errors: those of mint.
func (c *Cache) Get(ctx context.Context, key credential.Key, want Criteria, mint func(context.Context) (Entry, error)) (Result, error) {
	e, err := c.read(ctx, key)
	if err == nil && want.Match(e, c.o.Now()) {
		return Result{e, true}, nil
	}
	works := c.o.Store != nil && usable(err)
	if works {
		defer c.lockMint(ctx, key)()
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

// lockMint takes the key's lock. A holder that was stopped keeps it, so the wait
// is bounded and the caller then goes on without the lock.
func (c *Cache) lockMint(ctx context.Context, key credential.Key) (unlock func()) {
	name := key.ID()[:32] + ".lock"
	if unlock, ok := c.TryLock(name); ok {
		return unlock
	}
	c.o.Observer.CacheWaits()
	return c.Lock(ctx, name)
}

// TryLock takes a lock by name and reports whether no other process holds it. It
// reports true without a directory or on a file system without locks.
func (c *Cache) TryLock(name string) (unlock func(), ok bool) {
	if c.o.LockDir == "" {
		return func() {}, true
	}
	unlock, ok, err := filelock.TryLock(filepath.Join(c.o.LockDir, name))
	if err != nil {
		c.o.Observer.CacheFailed("taking a lock", err)
		return unlock, true
	}
	return unlock, ok
}

// Lock is TryLock that waits for half of the time left (of a minute, if ctx has no
// deadline), and then goes on without the lock.
func (c *Cache) Lock(ctx context.Context, name string) (unlock func()) {
	if c.o.LockDir == "" {
		return func() {}
	}
	left := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, left/2)
	defer cancel()
	unlock, _, err := filelock.Lock(ctx, filepath.Join(c.o.LockDir, name))
	if err != nil {
		c.o.Observer.CacheFailed("taking a lock", err)
	}
	return unlock
}

// Lookup returns key's entry, acceptable or not. An item that cannot be read, or
// that belongs to another key, is none.
func (c *Cache) Lookup(ctx context.Context, key credential.Key) (Entry, bool) {
	e, err := c.read(ctx, key)
	return e, err == nil
}

func (c *Cache) read(ctx context.Context, key credential.Key) (Entry, error) {
	if c.o.Store == nil {
		return Entry{}, errNoStore
	}
	text, err := c.o.Store.Get(ctx, key.ID())
	var e Entry
	if err == nil {
		e, err = decode(text, key)
	}
	if err != nil && !IsMissing(err) {
		c.o.Observer.CacheFailed("reading the cached token", err)
	}
	return e, err
}

// saveTimeout bounds storing a token, which goes on if ctx ends: the mint was paid
// for.
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

// usable reports whether a store that gave err on a read is worth locking for and
// writing to. A locked one is: a mint may unlock it.
func usable(err error) bool {
	var locked interface{ Locked() bool }
	return err == nil || IsMissing(err) || errors.Is(err, errUnreadable) || errors.Is(err, errForeign) || errors.As(err, &locked) && locked.Locked()
}

// IsMissing reports whether a store's error means "no such item".
func IsMissing(err error) bool {
	var m interface{ Missing() bool }
	return errors.As(err, &m) && m.Missing()
}

// Describe returns what is not secret about a store's item.
func Describe(ctx context.Context, s Store, id string) (Description, error) {
	text, err := s.Get(ctx, id)
	if err != nil {
		return Description{}, err
	}
	return describe(text)
}
