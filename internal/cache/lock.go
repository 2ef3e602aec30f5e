package cache

import (
	"context"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// poll is how often a taken lock is tried again.
const poll = 10 * time.Millisecond

func lockName(key credential.Key, n int) string {
	return key.ID()[:32] + map[int]string{1: ".lock", 2: ".lock2"}[n]
}

func (c *Cache) lock(name string) *flock.Flock {
	return flock.New(filepath.Join(c.LockDir, name), flock.SetFlag(openFlags), flock.SetPermissions(0o600))
}

// lead makes this process the one that mints, or reports found when another one
// has minted meanwhile. The kernel frees a lock when its holder dies, so only a
// stopped holder keeps it: that one is waited for during half of the time left,
// and then passed by with a second lock. Waiters re-read side by side under a
// shared lock. Where the store is mute, a second lock would only put them in a row.
// unlock is never nil; a file system without locks means no lock.
func (c *Cache) lead(ctx context.Context, first, second string, found, mute func() bool) (unlock func(), ok bool) {
	for i, name := range []string{first, second} {
		l := c.lock(name)
		free := func() { _ = l.Unlock() }
		got, err := l.TryLock()
		if err != nil {
			c.told("taking the lock", err)
			return func() {}, false
		}
		if got {
			return free, found()
		}
		if i == 0 && c.Waiting != nil {
			c.Waiting()
		}
		shared, stop := half(ctx)
		got, _ = l.TryRLockContext(shared, poll)
		stop()
		if got {
			hit := found()
			free()
			if hit || mute() {
				return func() {}, hit
			}
		}
	}
	// Both holders failed or are stopped: go on one by one while there is time.
	l := c.lock(second)
	last, stop := half(ctx)
	defer stop()
	if got, _ := l.TryLockContext(last, poll); got {
		return func() { _ = l.Unlock() }, found()
	}
	return func() {}, found()
}

// Alone keeps a second process from doing the same at the same time; name is a
// file's. ok is false where another one is at it. Without a folder for locks, or
// where the file system has none, nobody is kept away. unlock is never nil.
func (c *Cache) Alone(name string) (unlock func(), ok bool) {
	if c.LockDir == "" {
		return func() {}, true
	}
	l := c.lock(name)
	got, err := l.TryLock()
	if err != nil {
		c.told("taking the lock", err)
		return func() {}, true
	}
	return func() { _ = l.Unlock() }, got
}

// half gives a context that ends when half of the time left is over.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
