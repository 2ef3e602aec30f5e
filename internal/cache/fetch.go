package cache

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Fetch gives an entry that is good enough: the cached one, or one that mint
// makes while no other process does. ctx must have a deadline. The entry is
// stored after Fetch has returned; see Result.Saved.
func (c *Cache) Fetch(ctx context.Context, key credential.Key, want Want, mint func(context.Context) (Entry, error)) (Result, error) {
	f := &fetch{Cache: c, ctx: ctx, key: key, want: want, begun: c.Now()}
	// Without a mark of a good token the lock comes first: a crowd that finds
	// nothing would only make the store slow for the one that mints.
	if (c.LockDir == "" || f.promising(c.marked(key))) && f.look() {
		return Result{Entry: f.entry, Cached: true}, nil
	}
	unlock := func() {}
	if c.LockDir != "" && f.health != absent {
		var hit bool
		if unlock, hit = f.lead(); hit {
			unlock()
			return Result{Entry: f.entry, Cached: true}, nil
		}
	}
	e, err := mint(ctx)
	if err != nil {
		c.markLost(key)
		unlock()
		return Result{}, err
	}
	r := Result{Entry: e, saved: make(chan struct{})}
	go func() {
		defer close(r.saved)
		defer unlock()
		if f.health != absent && !f.mute() {
			c.save(context.WithoutCancel(ctx), key, e)
		}
	}()
	return r, nil
}

// fetch is one Fetch's way to an entry.
type fetch struct {
	*Cache
	ctx    context.Context
	key    credential.Key
	want   Want
	begun  time.Time
	entry  Entry
	health health
	mark   mark // that stood when the store was read last
}

// look reads the store in turn, and says whether what it holds serves.
func (f *fetch) look() bool {
	defer f.turn(f.ctx)()
	f.mark = f.marked(f.key)
	e, err := f.read(f.ctx, f.key)
	f.entry, f.health = e, healthOf(err)
	return err == nil && f.want.Good(e, f.Now())
}

// promising says whether a mark tells of a token that may serve.
func (f *fetch) promising(m mark) bool {
	return m.fresh(f.Now(), f.want.MinLife)
}

// mute says that the store does not answer now, and has not served of late.
func (f *fetch) mute() bool {
	return f.health == silent && !f.mark.fresh(f.Now(), 0)
}

// useless says, after a look, that to wait for others leads nowhere.
func (f *fetch) useless() bool {
	return f.mute() || f.health == absent || f.health == locked && f.want.Fingerprint != ""
}

// leaders is how many that ended without leaving a token are waited for: where
// no token can be had or stored, a crowd must not try one after the other.
const leaders = 3

// lead makes this process the one that mints, or reports a hit when another one
// has minted meanwhile. The kernel frees a lock when its holder dies, so only a
// stopped holder keeps it: that one is waited for during half of the time left,
// and then passed by with a second lock. All wait side by side and let go before
// they read; where nothing has come of it they line up, and the first one leads.
// unlock is never nil; a file system without locks means no lock.
func (f *fetch) lead() (unlock func(), hit bool) {
	none := func() {}
	for n := 1; n <= 2; n++ {
		l := f.lock(lockName(f.key, n))
		free := func() { _ = l.Unlock() }
		got, err := l.TryLock()
		switch {
		case err != nil:
			f.told("taking the lock", err)
			return none, false
		case got:
			return free, f.look()
		case n == 1 && f.Waiting != nil:
			f.Waiting()
		}
		wait, cancel := half(f.ctx)
		defer cancel()
		for lock := l.RLock; await(wait, lock, free); lock = l.Lock {
			m := f.marked(f.key)
			switch {
			case m != f.mark && f.promising(m): // somebody has stored a token
				free()
				if hit := f.look(); hit || f.useless() {
					return none, hit
				}
			case m.lost >= leaders && m.lostAt >= f.begun.UnixNano():
				free()
				return none, false
			case l.Locked():
				return free, f.look()
			default:
				free()
			}
		}
	}
	return none, !f.useless() && f.look()
}

// saveTimeout bounds the storing of a token, index included.
const saveTimeout = 3 * time.Second

func (c *Cache) save(ctx context.Context, key credential.Key, e Entry) {
	if c.Store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := c.Index().Add(ctx, account(key)); err != nil {
		c.markLost(key)
		c.told("listing the token", err)
		return
	}
	if err := c.Store.Put(ctx, account(key), encode(key, e)); err != nil {
		c.markLost(key)
		c.told("storing the token", err)
		return
	}
	c.markSaved(key, e.Token)
}
