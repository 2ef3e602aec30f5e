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
	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

func TestIndex(t *testing.T) {
	store := &fakeBackend{items: map[string]string{IndexAccount: "\nnonsense\nsecret:h:c\nsecret:h:c\n"}}
	if list, err := NewIndex(open(store), "").List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c"}) {
		t.Errorf("got %v, %v; want secret:h:c only", list, err)
	}
	store = &fakeBackend{items: map[string]string{}}
	x := NewIndex(open(store), filepath.Join(t.TempDir(), "lock"))
	if list, err := x.List(t.Context()); !errors.Is(err, ErrNotFound) || len(list) != 0 {
		t.Errorf("empty store: got %v, %v; want ErrNotFound", list, err)
	}
	if err := x.Remove(t.Context(), "secret:h:c"); err != nil {
		t.Errorf("removing a missing item: %v", err)
	}
	for _, a := range []string{"secret:h:c", "token:b", "token:a", "token:b"} {
		if err := x.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	store.items["secret:h:c"], store.items["token:a"] = "s", "t"
	if list, err := x.List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c", "token:a", "token:b"}) {
		t.Errorf("got %v, %v", list, err)
	}
	if err := x.Remove(t.Context(), "token:a", "token:b", "token:never"); err != nil {
		t.Error(err)
	}
	if list, err := x.List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c"}) || store.items["token:a"] != "" {
		t.Errorf("got %v, %v", list, err)
	}
	if err := x.Remove(t.Context(), "secret:h:c"); err != nil || len(store.items) != 0 {
		t.Errorf("got %v, left %v; want no items", err, store.items)
	}
}

// The index item may be gone while items remain, and may be incomplete.
func TestIndex_Gone(t *testing.T) {
	items := func() map[string]string { return map[string]string{"secret:h:c": "s", "token:a": "t", "foreign": "x"} }
	want := []string{"secret:h:c", "token:a"}
	store := &fakeBackend{items: items(), search: true}
	x := NewIndex(open(store), "")
	if list, err := x.List(t.Context()); err != nil || !cmp.Equal(list, want) {
		t.Errorf("List: got %v, %v, want %v", list, err, want)
	}
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
		"incomplete":                {"token:a\n", true, want, true},
		"damaged":                   {"\x00{}", true, want, true},
		"gone, without a search":    {"", false, nil, false},
		"present, without a search": {"token:a", false, []string{"token:a"}, true},
	} {
		store := &fakeBackend{items: items(), search: c.search}
		if c.index != "" {
			store.items[IndexAccount] = c.index
		}
		if all, complete, err := NewIndex(open(store), "").All(t.Context()); err != nil || !cmp.Equal(all, c.want) || complete != c.complete {
			t.Errorf("%s: got %v, %v, %v, want %v, %v", name, all, complete, err, c.want, c.complete)
		}
	}
}

// fullStore returns a store whose index has no space left.
func fullStore(secrets, tokens int) *fakeBackend {
	store := &fakeBackend{items: map[string]string{}}
	var list []string
	for i := range secrets {
		list = append(list, fmt.Sprintf("secret:h%02d.example:%036d", i, i))
	}
	for i := range tokens {
		list = append(list, fmt.Sprintf("%s%064d", tokenPrefix, i))
	}
	for _, a := range list {
		store.items[a] = "x"
	}
	store.items[IndexAccount] = strings.Join(list, "\n")
	return store
}

func TestIndexAdd_DeletesTokensIfFull(t *testing.T) {
	store := fullStore(4, 30)
	if n := len(store.items[IndexAccount]); n > smallItem || n+59 < smallItem {
		t.Fatalf("got a test index of %d bytes, want about %d", n, smallItem)
	}
	x := NewIndex(open(store), "")
	if err := x.Add(t.Context(), "secret:new.example:"+strings.Repeat("c", 40)); err != nil {
		t.Fatal(err)
	}
	list, err := x.List(t.Context())
	if err != nil || len(list) != 5 || slices.ContainsFunc(list, func(a string) bool { return strings.HasPrefix(a, tokenPrefix) }) {
		t.Errorf("got %v, %v", list, err)
	}
	for a := range store.items {
		if strings.HasPrefix(a, tokenPrefix) {
			t.Errorf("%s is stored but not listed", a)
		}
	}
	if slices.ContainsFunc(store.deletes, func(a string) bool { return strings.HasPrefix(a, "secret:") }) {
		t.Errorf("a secret was deleted: %v", store.deletes)
	}
	if err := x.Add(t.Context(), tokenPrefix+"new"); err != nil { // there is space again
		t.Error(err)
	}
}

func TestIndexAdd_FullOfSecrets(t *testing.T) {
	store := fullStore(43, 0)
	before := store.items[IndexAccount]
	x := NewIndex(open(store), "")
	err := x.Add(t.Context(), "secret:new.example:"+strings.Repeat("c", 40))
	if !errors.Is(err, ErrIndexFull) || store.items[IndexAccount] != before || len(store.deletes) != 0 {
		t.Errorf("got %v, deleted %v; want ErrIndexFull and no change", err, store.deletes)
	}
}

// Eight processes change the index of a keychain so slow that the last one waits for
// more than a second.
func TestIndex_ConcurrentProcesses(t *testing.T) {
	store, lock := &fakeBackend{hook: func(string, string, bool) error { time.Sleep(20 * time.Millisecond); return nil }}, filepath.Join(t.TempDir(), "lock")
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
	list, err := NewIndex(open(store), "").List(t.Context())
	if err != nil || len(list) != processes*(each-1) {
		t.Errorf("got %d entries, %v; want %d", len(list), err, processes*(each-1))
	}
}

// A stopped process that holds the lock delays a change, but does not prevent it.
func TestIndex_LockOfStoppedProcess(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	unlock, ok, err := filelock.TryLock(lock)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer unlock()
	store := &fakeBackend{}
	x := NewIndex(open(store), lock)
	x.timeout = time.Millisecond
	if err := x.Add(t.Context(), "secret:h:c"); err != nil || store.items[IndexAccount] != "secret:h:c" {
		t.Errorf("got %v, index %q; want the account listed", err, store.items[IndexAccount])
	}
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

func TestTokens(t *testing.T) {
	store := &fakeBackend{}
	tokens := Tokens{NewIndex(open(store), "")}
	if ids, err := tokens.List(t.Context()); len(ids) != 0 || err != nil {
		t.Errorf("got %v, %v from an empty keychain; want none", ids, err)
	}
	if _, err := tokens.Get(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want %v", err, ErrNotFound)
	}
	for _, id := range []string{"a", "b"} {
		if err := tokens.Set(t.Context(), id, credential.NewSecret("value of "+id), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tokens.Add(t.Context(), "secret:h:c"); err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Get(t.Context(), "b"); err != nil || got.Reveal() != "value of b" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	if ids, err := tokens.List(t.Context()); err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %v, %v; want a and b", ids, err)
	}
	if err := tokens.Delete(t.Context(), "a", "b"); err != nil || store.items[IndexAccount] != "secret:h:c" || len(store.items) != 1 {
		t.Errorf("got %v, left %v; want the secret alone listed", err, store.items)
	}
	if err := tokens.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}
