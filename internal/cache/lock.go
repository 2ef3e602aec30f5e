package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// await waits for a lock in the kernel: to ask again and again would take the
// processors from the one that is waited for. Where ctx ends first, a lock that
// comes late is freed.
func await(ctx context.Context, lock func() error, free func()) bool {
	done := make(chan error, 1)
	go func() { done <- lock() }()
	select {
	case err := <-done:
		return err == nil
	case <-ctx.Done():
		go func() {
			if <-done == nil {
				free()
			}
		}()
		return false
	}
}

// readers is how many processes read the store at the same time: a keychain
// serves one after the other, and with hundreds asking at once each would wait
// for longer than a read may take.
const readers = 4

// turnWait is how long one place among the readers is waited for. It may be held
// by a process that was stopped.
const turnWait = time.Second

func turnName(i int) string { return fmt.Sprintf("turn%d.lock", i) }

// turn waits for a place among the readers, for a quarter of the time left at the
// most. done is never nil.
func (c *Cache) turn(ctx context.Context) (done func()) {
	if c.LockDir == "" {
		return func() {}
	}
	quarter, stop := half(ctx)
	defer stop()
	quarter, stop2 := half(quarter)
	defer stop2()
	for i := rand.IntN(readers); quarter.Err() == nil; i = (i + 1) % readers {
		l := c.lock(turnName(i))
		free := func() { _ = l.Unlock() }
		wait, stop := context.WithTimeout(quarter, turnWait)
		got, err := l.TryLock()
		if !got && err == nil {
			got = await(wait, l.Lock, free)
		}
		stop()
		if got {
			return free
		}
		if err != nil {
			break // the lock itself will tell of it
		}
	}
	return func() {}
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

// InTurn waits until no other process does the same, for half of the time left: a
// stopped one keeps nobody from going on. name is a file's. unlock is never nil.
func (c *Cache) InTurn(ctx context.Context, name string) (unlock func()) {
	none := func() {}
	if c.LockDir == "" {
		return none
	}
	l := c.lock(name)
	free := func() { _ = l.Unlock() }
	switch got, err := l.TryLock(); {
	case err != nil:
		c.told("taking the lock", err)
		return none
	case got:
		return free
	}
	wait, stop := half(ctx)
	defer stop()
	if await(wait, l.Lock, free) {
		return free
	}
	return none
}

// half gives a context that ends when half of the time left is over.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
