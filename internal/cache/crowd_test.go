package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd runs n Fetches side by side, each with a Cache of its own as processes
// have, and gives their results.
func crowd(t *testing.T, n int, limit time.Duration, mk func() *Cache, mint func(context.Context) (Entry, error)) (rs []Result, errs []error) {
	t.Helper()
	rs, errs = make([]Result, n), make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		c := mk()
		wg.Go(func() {
			<-start
			rs[i], errs[i] = c.Fetch(within(t, limit), key, any0, mint)
			rs[i].Saved(context.Background())
		})
	}
	close(start)
	wg.Wait()
	return rs, errs
}

func TestOneMintForAll(t *testing.T) {
	store, dir := &memory{}, t.TempDir()
	var mints, waits atomic.Int32
	rs, errs := crowd(t, 50, 20*time.Second, func() *Cache {
		return &Cache{Store: store, LockDir: dir, Files: folder(dir), Now: time.Now, Waiting: func() { waits.Add(1) }}
	}, func(context.Context) (Entry, error) {
		mints.Add(1)
		time.Sleep(50 * time.Millisecond)
		return entry(tokenText), nil
	})
	cached := 0
	for i := range rs {
		if errs[i] != nil || rs[i].Entry.Token.Value.Reveal() != tokenText {
			t.Errorf("%+v, %v", rs[i], errs[i])
		}
		if rs[i].Cached {
			cached++
		}
	}
	if mints.Load() != 1 || cached != 49 || waits.Load() == 0 {
		t.Errorf("%d mints, %d from the cache, %d waited", mints.Load(), cached, waits.Load())
	}
}

func TestWithoutLockEveryoneMints(t *testing.T) {
	var mints atomic.Int32
	crowd(t, 5, time.Second, func() *Cache { return &Cache{Store: &memory{}, Now: time.Now} }, func(context.Context) (Entry, error) {
		mints.Add(1)
		return entry(tokenText), nil
	})
	if mints.Load() != 5 {
		t.Errorf("%d mints", mints.Load())
	}
}

func TestLeaderThatFails(t *testing.T) {
	store, dir := &memory{}, t.TempDir()
	var mints atomic.Int32
	boom := errors.New("boom")
	rs, errs := crowd(t, 10, 20*time.Second, func() *Cache { return &Cache{Store: store, LockDir: dir, Now: time.Now} },
		func(context.Context) (Entry, error) {
			n := mints.Add(1)
			time.Sleep(30 * time.Millisecond)
			if n == 1 {
				return Entry{}, boom
			}
			return entry(tokenText), nil
		})
	failed := 0
	for i := range errs {
		switch {
		case errors.Is(errs[i], boom):
			failed++
		case errs[i] != nil || rs[i].Entry.Token.Value.Reveal() != tokenText:
			t.Errorf("%+v, %v", rs[i], errs[i])
		}
	}
	if mints.Load() != 2 || failed != 1 {
		t.Errorf("%d mints, %d failed", mints.Load(), failed)
	}
}

// Where no token can be stored, or none be had, a crowd does not try one after
// the other.
func TestLeadersThatLeaveNothing(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		store *memory
		err   error
	}{
		"not stored": {store: &memory{put: func(string) error { return errTooBig }}},
		"refused":    {store: &memory{}, err: boom},
	} {
		dir := t.TempDir()
		const n, cost = 40, 100 * time.Millisecond
		begun := time.Now()
		_, errs := crowd(t, n, 20*time.Second, func() *Cache { return &Cache{Store: c.store, LockDir: dir, Files: folder(dir), Now: time.Now} },
			func(context.Context) (Entry, error) {
				time.Sleep(cost)
				return entry(tokenText), c.err
			})
		for _, err := range errs {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(begun); took < leaders*cost || took > n*cost*3/4 {
			t.Errorf("%s: %d took %s, each of them %s", name, n, took, cost)
		}
	}
}

// A good token is found though a stopped process holds every lock.
func TestStoppedHoldersDoNotDelayAWarmStart(t *testing.T) {
	dir := t.TempDir()
	c := &Cache{Store: &memory{items: map[string]string{account(key): changed(t, "", nil)}}, LockDir: dir, Files: folder(dir), Now: time.Now}
	c.markSaved(key, entry(tokenText).Token)
	hold(t, dir, lockName(key, 1))
	hold(t, dir, lockName(key, 2))
	for i := range readers - 1 {
		hold(t, dir, turnName(i))
	}
	const limit = time.Minute
	begun := time.Now()
	r, err := c.Fetch(within(t, limit), key, any0, func(context.Context) (Entry, error) { return Entry{}, errors.New("minted") })
	if took := time.Since(begun); err != nil || !r.Cached || took > (readers-1)*turnWait+5*time.Second {
		t.Errorf("%+v, %v after %s", r, err, took)
	}
	hold(t, dir, turnName(readers-1))
	begun = time.Now()
	r, err = c.Fetch(within(t, 4*time.Second), key, any0, func(context.Context) (Entry, error) { return Entry{}, errors.New("minted") })
	if took := time.Since(begun); err != nil || !r.Cached || took < 900*time.Millisecond || took > 3500*time.Millisecond {
		t.Errorf("all places taken: %+v, %v after %s", r, err, took)
	}
}

// No more than a few read at the same time.
func TestReadersTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var now, most atomic.Int32
	store := &memory{items: map[string]string{account(key): changed(t, "", nil)}}
	slow := storeFunc{store, func() {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
	}}
	// A mark of a good token has all of them look at once.
	(&Cache{Files: folder(dir), Now: time.Now}).markSaved(key, entry(tokenText).Token)
	_, errs := crowd(t, 40, 20*time.Second, func() *Cache { return &Cache{Store: slow, LockDir: dir, Files: folder(dir), Now: time.Now} },
		func(context.Context) (Entry, error) { return Entry{}, errors.New("minted") })
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if most.Load() > readers || most.Load() < 2 {
		t.Errorf("%d read at the same time", most.Load())
	}
}

// A leader that was stopped keeps its lock for ever.
func TestLeaderThatIsStopped(t *testing.T) {
	store, dir := &memory{}, t.TempDir()
	hold(t, dir, lockName(key, 1))
	const limit = 2 * time.Second
	var mints atomic.Int32
	begun := time.Now()
	_, errs := crowd(t, 10, limit, func() *Cache { return &Cache{Store: store, LockDir: dir, Now: time.Now} }, func(context.Context) (Entry, error) {
		mints.Add(1)
		time.Sleep(30 * time.Millisecond)
		return entry(tokenText), nil
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if d := time.Since(begun); mints.Load() != 1 || d < limit/2 || d > limit/2+limit/4 {
		t.Errorf("%d mints in %s, of a deadline of %s", mints.Load(), d, limit)
	}
}

// With both locks held by stopped processes the time that is left still serves
// a mint of one's own.
func TestBothLeadersAreStopped(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir, lockName(key, 1))
	hold(t, dir, lockName(key, 2))
	const limit = 800 * time.Millisecond
	begun := time.Now()
	c := &Cache{Store: &memory{}, LockDir: dir, Now: time.Now}
	r, err := c.Fetch(within(t, limit), key, any0, func(ctx context.Context) (Entry, error) {
		if ctx.Err() != nil {
			t.Error("no time is left for the mint")
		}
		return entry(tokenText), nil
	})
	if err != nil || time.Since(begun) > limit {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	r.Saved(t.Context())
}

func TestLockDirThatFails(t *testing.T) {
	var log told
	c := &Cache{Store: &memory{}, LockDir: t.TempDir() + "/none", Now: time.Now, Told: log.tell}
	begun := time.Now()
	r, err := c.Fetch(within(t, 5*time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
	if err != nil || time.Since(begun) > 4*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	r.Saved(t.Context())
	if _, hit := c.Lookup(t.Context(), key); !hit || !strings.Contains(log.String(), "taking the lock") {
		t.Errorf("stored: %v; told: %s", hit, &log)
	}
}

func TestFetchCancelledWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir, lockName(key, 1))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	c := &Cache{Store: &memory{}, LockDir: dir, Now: time.Now, Waiting: cancel}
	begun := time.Now()
	_, err := c.Fetch(ctx, key, any0, func(ctx context.Context) (Entry, error) { return Entry{}, ctx.Err() })
	if !errors.Is(err, context.Canceled) || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}
