package tokencache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func TestLookup(t *testing.T) {
	other := key
	other.Pooled = true
	whole := stored("user", "")
	for _, c := range []struct {
		name, item string
		found      bool
	}{
		{"as stored", whole, true},
		{"missing", "", false},
		{"no JSON", "canary " + tokenText, false},
		{"truncated", whole[:80], false},
		{"other JSON", `{"token":"` + tokenText + `"}`, false},
		{"other version", stored("version", "2"), false},
		{"other key", stored("id", other.ID()), false},
	} {
		store := holding(c.item)
		if c.item == "" {
			store = &memory{}
		}
		events := newEvents()
		e, err := newCache(store, "", events).Lookup(t.Context(), key)
		found := err == nil
		if found != c.found || found && (e.Token.Value.Reveal() != tokenText || e.DatabaseHost != "db.example" || e.Fingerprint != "fp") {
			t.Errorf("%s: got %+v, %v; want %v", c.name, e, found, c.found)
		}
		if reported := events.String() != "[]"; reported != (!c.found && c.name != "missing") || strings.Contains(events.String(), tokenText) {
			t.Errorf("%s: reported %s", c.name, events)
		}
	}
	c := newCache(nil, "", newEvents())
	if e, cached, err := c.Get(t.Context(), key, criteria, minting("new")); err != nil || cached {
		t.Errorf("got %+v, %v without a store; want a new token", e, err)
	}
	if _, err := c.Lookup(t.Context(), key); err == nil {
		t.Error("found an entry without a store")
	}
}

func TestCriteria(t *testing.T) {
	e, now := entry(tokenText), time.Now()
	for name, c := range map[string]struct {
		Criteria
		want bool
	}{
		"none":            {Criteria{}, true},
		"same secret":     {Criteria{Fingerprint: "fp"}, true},
		"other secret":    {Criteria{Fingerprint: "other"}, false},
		"refused token":   {Criteria{Refused: credential.NewSecret(tokenText)}, false},
		"other refused":   {Criteria{Refused: credential.NewSecret("x")}, true},
		"host":            {Criteria{DatabaseHost: func(h string) bool { return h == "db.example" }}, true},
		"other host":      {Criteria{DatabaseHost: func(h string) bool { return h != "db.example" }}, false},
		"too little life": {Criteria{MinLife: 15 * time.Minute}, false},
		"enough life":     {Criteria{MinLife: 5 * time.Minute}, true},
	} {
		at := now
		if c.MinLife > 0 {
			at = now.Add(50 * time.Minute)
		}
		if got := c.Match(e, at); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// A stored token is used, also if another process stored it after the first read.
func TestGet_Cached(t *testing.T) {
	for _, reads := range []int{1, 2} {
		store, item := &memory{items: map[string]string{}}, stored("user", "")
		store.onGet = func(read int) {
			if read == reads {
				store.items[key.ID()] = item
			}
		}
		e, cached, err := newCache(store, t.TempDir(), newEvents()).Get(t.Context(), key, criteria, minting("new"))
		if err != nil || !cached || e.Token.Value.Reveal() != tokenText || store.reads != reads {
			t.Errorf("got %+v, %v after %d reads; want the cached token after %d", e, err, store.reads, reads)
		}
	}
}

// One of several concurrent processes mints; if that fails, another one does.
func TestGet_OneMint(t *testing.T) {
	boom := errors.New("boom")
	for name, failures := range map[string]int32{"success": 0, "first mint fails": 1} {
		store, dir, events := &memory{}, t.TempDir(), newEvents()
		var mints, failed atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			c := newCache(store, dir, events) // as in another process
			wg.Go(func() {
				e, _, err := c.Get(t.Context(), key, criteria, func(context.Context) (Entry, error) {
					n := mints.Add(1)
					if n == 1 {
						<-events.waits
					}
					if n <= failures {
						return Entry{}, boom
					}
					return entry(tokenText), nil
				})
				switch {
				case errors.Is(err, boom):
					failed.Add(1)
				case err != nil || e.Token.Value.Reveal() != tokenText:
					t.Errorf("%s: got %+v, %v; want the shared token", name, e, err)
				}
			})
		}
		wg.Wait()
		if mints.Load() != failures+1 || failed.Load() != failures || store.writes != 1 {
			t.Errorf("%s: got %d mints, %d failures, %d writes; want %d, %d, 1", name, mints.Load(), failed.Load(), store.writes, failures+1, failures)
		}
	}
}

// A process that waits for the lock of a stopped one mints after half of the time left,
// and returns if its context is cancelled.
func TestGet_LockHeld(t *testing.T) {
	dir, events := t.TempDir(), newEvents()
	unlock, ok, err := securefile.TryLock(filepath.Join(dir, key.ID()[:32]+".lock"))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer unlock()
	mint := func(ctx context.Context) (Entry, error) { return entry(tokenText), ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	e, cached, err := newCache(&memory{}, dir, events).Get(ctx, key, criteria, mint)
	if err != nil || cached || len(events.waits) != 1 {
		t.Errorf("got %+v, %v after %d waits; want a mint in time after 1 wait", e, err, len(events.waits))
	}
	<-events.waits
	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-events.waits; cancel() }()
	if _, _, err := newCache(&memory{}, dir, events).Get(ctx, key, criteria, mint); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// A store or lock that fails does not fail Get, and what cannot be used is replaced.
func TestGet_Mints(t *testing.T) {
	broken := errors.New("the store is broken")
	other := key
	other.Pooled = true
	ours := func() *memory { return holding(stored("user", "")) }
	for _, c := range []struct {
		name          string
		store         *memory
		want          Criteria
		lockDir       string
		reads, writes int
		report        string
	}{
		{"refused", ours(), Criteria{Refused: credential.NewSecret(tokenText)}, t.TempDir(), 2, 1, "[]"},
		{"other secret", ours(), Criteria{Fingerprint: "other"}, t.TempDir(), 2, 1, "[]"},
		{"write fails", &memory{setErr: broken}, criteria, t.TempDir(), 2, 1, "storing the token: the store is broken"},
		{"read fails: no lock, no write", &memory{getErr: broken}, criteria, t.TempDir(), 1, 0, "reading the cached token: the store is broken"},
		{"locked: a mint may unlock it", &memory{getErr: lockedError{}}, criteria, t.TempDir(), 2, 1, "the store is locked"},
		{"foreign item", holding(stored("id", other.ID())), criteria, t.TempDir(), 2, 1, "item of another target"},
		{"unreadable item", holding("x"), criteria, t.TempDir(), 2, 1, "unreadable item"},
		{"no lock directory", &memory{}, criteria, "", 2, 1, "[]"},
		{"lock fails", &memory{}, criteria, t.TempDir() + "/missing", 2, 1, "taking a lock"},
	} {
		events := newEvents()
		cache := newCache(c.store, c.lockDir, events)
		e, cached, err := cache.Get(t.Context(), key, c.want, minting("new"))
		if err != nil || cached || e.Token.Value.Reveal() != "new" {
			t.Errorf("%s: got %+v, %v; want a new token", c.name, e, err)
		}
		if c.store.reads != c.reads || c.store.writes != c.writes || !strings.Contains(events.String(), c.report) {
			t.Errorf("%s: got %d reads, %d writes, reported %s; want %d, %d, %q", c.name, c.store.reads, c.store.writes, events, c.reads, c.writes, c.report)
		}
		if stored, _ := cache.Lookup(t.Context(), key); c.store.getErr == nil && c.store.setErr == nil && stored.Token.Value.Reveal() != "new" {
			t.Errorf("%s: stored %+v", c.name, stored)
		}
	}
}

func TestDescribe(t *testing.T) {
	shop := key
	shop.Target, shop.ReadOnly = credential.InstancePrefix+"shop", true
	for k, want := range map[credential.Key]Description{key: {Endpoint: key.Target}, shop: {Instance: "shop", ReadOnly: true}} {
		d, err := Describe(t.Context(), holding(encode(k, entry(tokenText)).Reveal()), key.ID())
		if err != nil || d.Endpoint != want.Endpoint || d.Instance != want.Instance || d.ReadOnly != want.ReadOnly {
			t.Errorf("got %+v, %v; want %+v", d, err, want)
		}
	}
}

func TestFileStore(t *testing.T) {
	dir, err := securefile.OpenDir([]string{filepath.Join(t.TempDir(), "private")})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	s, id := FileStore{dir}, key.ID()
	if _, err := s.Get(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want a missing item", err)
	}
	for _, size := range []int{1, 2401, maxItem} { // 2,400 is the limit of other platforms' keychains
		want := credential.NewSecret(strings.Repeat("x", size))
		if err := s.Set(t.Context(), id, want, time.Now()); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got, err := s.Get(t.Context(), id); err != nil || !got.Equal(want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got.Reveal()), err)
		}
	}
	if err := dir.WriteFile("other.json", nil); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.List(t.Context()); err != nil || len(ids) != 1 || ids[0] != id {
		t.Errorf("got %v, %v; want %s", ids, err, id)
	}
	if err := os.Chmod(filepath.Join(dir.Path(), filePrefix+id+fileSuffix), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), id); !errors.Is(err, errUnreadable) && runtime.GOOS != "windows" { // which has no modes
		t.Errorf("got %v for a file that others can read, want %v", err, errUnreadable)
	}
	if err := s.Delete(t.Context(), id, "never"); err != nil {
		t.Error(err)
	}
	if ids, err := s.List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("got %v, %v after Delete; want none", ids, err)
	}
}
