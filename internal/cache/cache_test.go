package cache

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
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
		{"for the read-only host", changed(t, "read_only", true), false, false},
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

// An instance is described as one, and a read-only token as that; neither is
// found by the key of the other.
func TestInstanceAndReadOnlyItems(t *testing.T) {
	shop := key
	shop.Target, shop.ReadOnly = credential.InstancePrefix+"shop", true
	d, err := describe(encode(shop, entry(tokenText)))
	if err != nil || d.Endpoint != "" || d.Instance != "shop" || !d.ReadOnly {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := describe(encode(key, entry(tokenText))); err != nil || d.Endpoint != key.Target || d.Instance != "" || d.ReadOnly {
		t.Errorf("%+v, %v", d, err)
	}
	if e, err := decode(encode(shop, entry(tokenText)), shop); err != nil || e.DatabaseHost != "db.example" {
		t.Errorf("%+v, %v", e, err)
	}
	other := shop
	other.ReadOnly = false
	if _, err := decode(encode(shop, entry(tokenText)), other); !errors.Is(err, errForeign) {
		t.Errorf("the read-only item is taken by a run that is not: %v", err)
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
	dir := t.TempDir()
	c := &Cache{Store: store, LockDir: dir, Files: folder(dir), Now: time.Now}
	c.markSaved(key, entry(tokenText).Token)
	r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) {
		t.Error("minted though another process just had")
		return entry("new"), nil
	})
	if err != nil || !r.Cached {
		t.Errorf("%+v, %v", r, err)
	}
}

// The store is asked once where nothing says that it holds a token, and what it
// holds then serves all the same.
func TestFetchAsksTheStoreOnce(t *testing.T) {
	for _, held := range []bool{false, true} {
		store, dir, reads := &memory{items: map[string]string{}}, t.TempDir(), 0
		store.peek = func(a string) error {
			if a == account(key) {
				reads++
			}
			return nil
		}
		if held {
			store.items[account(key)] = changed(t, "", nil)
		}
		c := &Cache{Store: store, LockDir: dir, Files: folder(dir), Now: time.Now}
		r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return entry("new"), nil })
		if err != nil || r.Cached != held || reads != 1 {
			t.Errorf("held %v: cached %v after %d reads, %v", held, r.Cached, reads, err)
		}
		r.Saved(t.Context())
	}
}
