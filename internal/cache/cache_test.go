package cache

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var any0 = Want{MinLife: 15 * time.Minute}

// changed gives the stored form of a good item with one field changed.
func changed(t *testing.T, field string, value any) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(encode(key, entry(tokenText)).Reveal()), &m); err != nil {
		t.Fatal(err)
	}
	if field != "" {
		m[field] = value
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestLookup(t *testing.T) {
	hour := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	for _, c := range []struct {
		name, text string
		hit, good  bool
	}{
		{"as it was stored", changed(t, "", nil), true, true},
		{"absent", "", false, false},
		{"no JSON", "dose " + tokenText, false, false},
		{"cut short", changed(t, "", nil)[:80], false, false},
		{"another JSON", `{"token":"` + tokenText + `"}`, false, false},
		{"a list", "[]", false, false},
		{"another version", changed(t, "version", 2), false, false},
		{"another host's", changed(t, "host", "other.example"), false, false},
		{"another identity's", changed(t, "identity", "pat"), false, false},
		{"another workspace's", changed(t, "workspace_id", "1"), false, false},
		{"another client's", changed(t, "principal", "d"), false, false},
		{"another endpoint's", changed(t, "target", "projects/q"), false, false},
		{"for another ttl", changed(t, "ttl", "5m0s"), false, false},
		{"another credential", changed(t, "credential", "workspace"), false, false},
		{"no token in it", changed(t, "token", ""), true, false},
		{"minted in the future", changed(t, "minted", hour(time.Minute)), true, false},
		{"expired", changed(t, "expires", hour(-time.Minute)), true, false},
		{"too long a life", changed(t, "expires", hour(3*time.Hour)), true, false},
	} {
		store := &memory{items: map[string]string{}}
		if c.text != "" {
			store.items[account(key)] = c.text
		}
		var log told
		cache := &Cache{Store: store, Now: time.Now, Told: log.tell}
		e, hit := cache.Lookup(t.Context(), key)
		if hit != c.hit || hit && any0.Good(e, time.Now()) != c.good {
			t.Errorf("%s: hit %v, entry %+v", c.name, hit, e)
		}
		if hit && c.good && (e.Token.Value.Reveal() != tokenText || e.DatabaseHost != "db.example" || e.Fingerprint != "fp") {
			t.Errorf("%s: %+v", c.name, e)
		}
		if told := log.String() != ""; !hit && told == (c.name == "absent") {
			t.Errorf("%s: told %q", c.name, &log)
		}
		if strings.Contains(log.String(), tokenText) {
			t.Errorf("%s: the token is told: %s", c.name, &log)
		}
	}
	if _, hit := (&Cache{Now: time.Now}).Lookup(t.Context(), key); hit {
		t.Error("a hit without a store")
	}
	if _, hit := (&Cache{Now: time.Now, Store: &memory{peek: func(string) error { return errLocked }}}).Lookup(t.Context(), key); hit {
		t.Error("a hit in a locked store")
	}
}

func TestWant(t *testing.T) {
	e := entry(tokenText)
	now := time.Now()
	for _, c := range []struct {
		name string
		want Want
		good bool
	}{
		{"nothing asked", Want{}, true},
		{"life enough", Want{MinLife: 59 * time.Minute}, true},
		{"its fingerprint", Want{Fingerprint: "fp"}, true},
		{"another fingerprint", Want{Fingerprint: "fq"}, false},
		{"this one was refused", Want{Refused: credential.NewSecret(tokenText)}, false},
		{"another one was refused", Want{Refused: credential.NewSecret("x")}, true},
		{"its host", Want{DatabaseHost: func(h string) bool { return h == "db.example" }}, true},
		{"another host", Want{DatabaseHost: func(h string) bool { return h == "x.example" }}, false},
	} {
		if got := c.want.Good(e, now); got != c.good {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	old := entry(tokenText)
	old.Token.MintedAt, old.Token.ExpiresAt = now.Add(-50*time.Minute), now.Add(10*time.Minute)
	if (Want{MinLife: 15 * time.Minute}).Good(old, now) || !(Want{MinLife: 5 * time.Minute}).Good(old, now) {
		t.Error("the least life is not looked at")
	}
}

func TestFetchHitMintsNothing(t *testing.T) {
	store := &memory{items: map[string]string{account(key): changed(t, "", nil)}}
	c := &Cache{Store: store, Now: time.Now, LockDir: t.TempDir()}
	r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) {
		t.Error("minted beside a good token")
		return Entry{}, nil
	})
	if err != nil || !r.Cached || r.Entry.Token.Value.Reveal() != tokenText {
		t.Errorf("%+v, %v", r, err)
	}
	r.Saved(t.Context())
	for name, want := range map[string]Want{"refused": {Refused: credential.NewSecret(tokenText)}, "fingerprint": {Fingerprint: "other"},
		"host": {DatabaseHost: func(string) bool { return false }}} {
		r, err := c.Fetch(within(t, time.Second), key, want, func(context.Context) (Entry, error) { return entry("new"), nil })
		if err != nil || r.Cached || r.Entry.Token.Value.Reveal() != "new" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		r.Saved(t.Context())
		store.mu.Lock()
		store.items[account(key)] = changed(t, "", nil)
		store.mu.Unlock()
	}
}

func TestFetchStoresAndLists(t *testing.T) {
	store := &memory{slow: 20 * time.Millisecond}
	c := &Cache{Store: store, Now: time.Now, LockDir: t.TempDir()}
	r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
	if err != nil || r.Cached {
		t.Fatalf("%+v, %v", r, err)
	}
	if store.text(account(key)) != "" {
		t.Error("Fetch waited for the store")
	}
	r.Saved(t.Context())
	if e, hit := c.Lookup(t.Context(), key); !hit || e.Token.Value.Reveal() != tokenText || store.text(IndexAccount) != account(key) {
		t.Errorf("stored %v, %v; listed %q", e, hit, store.text(IndexAccount))
	}
	d := c.Tokens(t.Context())
	if len(d) != 1 || d[0].Host != "h.example" || d[0].ClientID != "c" || d[0].Endpoint != key.Target || d[0].DatabaseHost != "db.example" || d[0].ExpiresAt.IsZero() {
		t.Errorf("described as %+v", d)
	}
	if out, _ := json.Marshal(d); strings.Contains(string(out), tokenText) {
		t.Error("a description holds the token")
	}
}

// A process that is about to be replaced waits for the store, and no longer
// than it is told.
func TestSavedWaits(t *testing.T) {
	block := make(chan struct{})
	c := &Cache{Store: &memory{put: func(string) error { <-block; return nil }}, Now: time.Now}
	r, err := c.Fetch(within(t, 10*time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	r.Saved(within(t, 50*time.Millisecond))
	if d := time.Since(begun); d < 50*time.Millisecond || d > time.Second {
		t.Errorf("it waited %s", d)
	}
	close(block)
	r.Saved(t.Context())
}

func TestFetchWithAStoreThatFails(t *testing.T) {
	for name, store := range map[string]*memory{
		"put":   {put: func(string) error { return errLocked }},
		"token": {put: func(a string) error { return map[bool]error{true: errLocked}[a != IndexAccount] }},
		"peek":  {peek: func(string) error { return errLocked }},
	} {
		var log told
		c := &Cache{Store: store, Now: time.Now, LockDir: t.TempDir(), Told: log.tell}
		r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
		if err != nil || r.Entry.Token.Value.Reveal() != tokenText {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		r.Saved(t.Context())
		if !strings.Contains(log.String(), errLocked.Error()) || strings.Contains(log.String(), tokenText) {
			t.Errorf("%s: told %s", name, &log)
		}
		if name == "peek" && len(store.items) != 0 {
			t.Errorf("an index that could not be read was written over: %v", store.items)
		}
	}
}

func TestFetchGivesMintsError(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []*Cache{{Now: time.Now}, {Now: time.Now, Store: &memory{}}, {Now: time.Now, Store: &memory{}, LockDir: t.TempDir()}} {
		for range 2 { // the second one would wait for a lock that was left behind
			_, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return Entry{}, boom })
			if !errors.Is(err, boom) {
				t.Error(err)
			}
		}
	}
}

func TestFetchWithoutStore(t *testing.T) {
	c := &Cache{Now: time.Now, LockDir: t.TempDir()}
	for want := range 2 {
		mints := 0
		r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { mints++; return entry(tokenText), nil })
		if err != nil || mints != 1 || r.Cached {
			t.Errorf("run %d: %d mints, %+v, %v", want, mints, r, err)
		}
		r.Saved(t.Context())
	}
}

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
		return &Cache{Store: store, LockDir: dir, Now: time.Now, Waiting: func() { waits.Add(1) }}
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
	if err != nil || time.Since(begun) > time.Second {
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

// Another process may finish between our first look and the free lock.
func TestFetchLooksAgainUnderTheLock(t *testing.T) {
	store := &memory{items: map[string]string{}}
	store.peek = func(string) error {
		if store.peek = nil; store.items[account(key)] == "" {
			store.items[account(key)] = changed(t, "", nil)
			return missing{}
		}
		return nil
	}
	c := &Cache{Store: store, LockDir: t.TempDir(), Now: time.Now}
	r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) {
		t.Error("minted though another process just had")
		return entry("new"), nil
	})
	if err != nil || !r.Cached {
		t.Errorf("%+v, %v", r, err)
	}
}
