package keychain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func wantList(t *testing.T, x Index, want ...string) {
	t.Helper()
	if got, _, err := x.List(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestIndex(t *testing.T) {
	store := &fakeBackend{}
	x := NewIndex(open(store), filepath.Join(t.TempDir(), "lock"))
	wantList(t, x)
	must(t, x.Remove(t.Context(), "secret:h:c"))
	tokens := Tokens{x}
	if ids, err := tokens.List(t.Context()); len(ids) != 0 || err != nil {
		t.Errorf("got %v, %v from an empty keychain; want none", ids, err)
	}
	if _, err := tokens.Get(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want %v", err, ErrNotFound)
	}
	for _, id := range []string{"b", "a", "b"} {
		must(t, tokens.Set(t.Context(), id, credential.NewSecret("value of "+id), time.Time{}))
	}
	must(t, x.Add(t.Context(), "secret:h:c"))
	wantList(t, x, "secret:h:c", "token:a", "token:b")
	if got, err := tokens.Get(t.Context(), "b"); err != nil || got.Reveal() != "value of b" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	if ids, err := tokens.List(t.Context()); err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %v, %v; want a and b", ids, err)
	}
	must(t, tokens.Delete(t.Context()), tokens.Delete(t.Context(), "a", "b", "never"))
	wantList(t, x, "secret:h:c")
	if must(t, x.Remove(t.Context(), "secret:h:c")); len(store.items) != 0 {
		t.Errorf("left %v; want no items", store.items)
	}
}

// The index item may be gone while items remain, and may be incomplete or damaged.
func TestIndex_Gone(t *testing.T) {
	items := func() map[string]string { return map[string]string{"secret:h:c": "s", "token:a": "t", "foreign": "x"} }
	want := []string{"secret:h:c", "token:a"}
	store := &fakeBackend{items: items(), search: true}
	x := NewIndex(open(store), "")
	if ids, err := (Tokens{x}).List(t.Context()); err != nil || !cmp.Equal(ids, []string{"a"}) {
		t.Errorf("Tokens.List: got %v, %v", ids, err)
	}
	if err := x.Add(t.Context(), "token:b"); err != nil || store.items[IndexAccount] != "secret:h:c\ntoken:a\ntoken:b" {
		t.Errorf("Add: got %q, %v, want an index of all items", store.items[IndexAccount], err)
	}
	for name, c := range map[string]struct {
		index    string
		search   bool
		want     []string
		complete bool
	}{
		"gone":                      {"", true, want, true},
		"incomplete":                {"token:a\n\ntoken:a\n", true, want, true},
		"damaged":                   {"\x00{}", true, want, true},
		"gone, without a search":    {"", false, nil, false},
		"present, without a search": {"token:a", false, []string{"token:a"}, true},
	} {
		store := &fakeBackend{items: items(), search: c.search}
		if c.index != "" {
			store.items[IndexAccount] = c.index
		}
		if all, complete, err := NewIndex(open(store), "").List(t.Context()); err != nil || !slices.Equal(all, c.want) || complete != c.complete {
			t.Errorf("%s: got %v, %v, %v, want %v, %v", name, all, complete, err, c.want, c.complete)
		}
	}
}

// A full index deletes the tokens, which can be obtained again, and never a secret.
func TestIndexAdd_Full(t *testing.T) {
	fill := func(secrets, tokens int) (*fakeBackend, Index) {
		var list []string
		for i := range secrets {
			list = append(list, fmt.Sprintf("secret:h%02d.example:%036d", i, i))
		}
		for i := range tokens {
			list = append(list, fmt.Sprintf("%s%064d", tokenPrefix, i))
		}
		store := &fakeBackend{items: map[string]string{IndexAccount: strings.Join(list, "\n")}}
		for _, a := range list {
			store.items[a] = "x"
		}
		return store, NewIndex(open(store), "")
	}
	another := "secret:new.example:" + strings.Repeat("c", 40)
	store, x := fill(4, 30)
	must(t, x.Add(t.Context(), another))
	list, _, err := x.List(t.Context())
	if err != nil || len(list) != 5 || len(store.items) != 5 || len(store.deletes) != 30 { // the fifth item is the index
		t.Errorf("got %v, %v, left %v, deleted %v", list, err, store.items, store.deletes)
	}
	must(t, x.Add(t.Context(), tokenPrefix+"new")) // there is space again

	store, x = fill(43, 0)
	if err := x.Add(t.Context(), another); err != nil || len(store.deletes) != 0 {
		t.Errorf("got %v, deleted %v; want no secret deleted", err, store.deletes)
	}
}

// Eight processes change the index of a keychain so slow that the last one waits for
// more than a second.
func TestIndex_ConcurrentProcesses(t *testing.T) {
	store := &fakeBackend{hook: func(string, string, bool) error { time.Sleep(20 * time.Millisecond); return nil }}
	lock := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	const processes, each = 8, 3
	for p := range processes {
		x := NewIndex(open(store), lock)
		wg.Go(func() {
			for i := range each {
				if err := x.Add(context.Background(), fmt.Sprintf("secret:h%d:%d", p, i)); err != nil {
					t.Error(err)
				}
			}
			if err := x.Remove(context.Background(), fmt.Sprintf("secret:h%d:0", p)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, _, err := NewIndex(open(store), "").List(t.Context())
	if err != nil || len(list) != processes*(each-1) {
		t.Errorf("got %d entries, %v; want %d", len(list), err, processes*(each-1))
	}
}

// A stopped process that holds the lock delays a change, but does not prevent it.
func TestIndex_LockOfStoppedProcess(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	unlock, ok, err := securefile.TryLock(lock)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer unlock()
	x := NewIndex(open(&fakeBackend{}), lock)
	x.timeout = time.Millisecond
	must(t, x.Add(t.Context(), "secret:h:c"))
	wantList(t, x, "secret:h:c")
}

// An index that cannot be read is not overwritten, and an item that cannot be deleted
// stays listed.
func TestIndex_Locked(t *testing.T) {
	failing := ""
	store := &fakeBackend{items: map[string]string{IndexAccount: "token:x\ntoken:y", "token:x": "t", "token:y": "t"}, hook: func(op, a string, _ bool) error {
		if failing == op+" "+a {
			return fail(ErrLocked, "")
		}
		return nil
	}}
	x := NewIndex(open(store), "")
	expect := func(err, want error, index string) {
		t.Helper()
		if !errors.Is(err, want) || store.items[IndexAccount] != index {
			t.Errorf("got %v, index %q; want %v, %q", err, store.items[IndexAccount], want, index)
		}
	}
	failing = "get " + IndexAccount
	expect(x.Add(t.Context(), "token:z"), ErrLocked, "token:x\ntoken:y")
	expect(x.Remove(t.Context(), "token:unknown"), ErrLocked, "token:x\ntoken:y")
	failing = "delete token:x"
	expect(x.Remove(t.Context(), "token:x"), ErrLocked, "token:x\ntoken:y")
	expect(x.Remove(t.Context(), "token:y"), nil, "token:x")
}
