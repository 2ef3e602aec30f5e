package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIndex(t *testing.T) {
	store := &memory{items: map[string]string{}}
	x := (&Cache{Store: store, Now: time.Now, LockDir: t.TempDir()}).Index()
	if list, err := x.List(t.Context()); !IsMissing(err) || len(list) != 0 {
		t.Errorf("an empty store: %v, %v", list, err)
	}
	if err := x.Remove(t.Context(), "secret:h:c"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	for _, a := range []string{"secret:h:c", "token:b", "token:a", "token:b"} {
		if err := x.Add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	store.items["secret:h:c"], store.items["token:a"] = "s", "t"
	if list, err := x.List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c", "token:a", "token:b"}) {
		t.Errorf("%v, %v", list, err)
	}
	if err := x.Remove(t.Context(), "token:a", "token:b", "token:never"); err != nil {
		t.Error(err)
	}
	if list, err := x.List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c"}) || store.text("token:a") != "" {
		t.Errorf("%v, %v", list, err)
	}
	if err := x.Remove(t.Context(), "secret:h:c"); err != nil || len(store.items) != 0 {
		t.Errorf("%v, left: %v", err, store.items)
	}
}

func TestIndexIgnoresWhatIsNoAccount(t *testing.T) {
	store := &memory{items: map[string]string{IndexAccount: "\nnonsense\nsecret:h:c\nsecret:h:c\n"}}
	if list, err := (&Cache{Store: store}).Index().List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c"}) {
		t.Errorf("%v, %v", list, err)
	}
}

// full gives a store whose index has no room left, with n secrets in it.
func full(secrets, tokens int) *memory {
	store := &memory{items: map[string]string{}}
	var list []string
	for i := range secrets {
		list = append(list, fmt.Sprintf("secret:h%02d.example:%036d", i, i))
	}
	for i := range tokens {
		list = append(list, fmt.Sprintf("%s%064d", TokenPrefix, i))
	}
	for _, a := range list {
		store.items[a] = "x"
	}
	store.items[IndexAccount] = strings.Join(list, "\n")
	return store
}

func TestIndexFullDropsTokensFirst(t *testing.T) {
	store := full(4, 30)
	if n := len(store.items[IndexAccount]); n > maxIndex || n+59 < maxIndex {
		t.Fatalf("the test's index has %d bytes", n)
	}
	x := (&Cache{Store: store, Now: time.Now}).Index()
	if err := x.Add(t.Context(), "secret:new.example:"+strings.Repeat("c", 40)); err != nil {
		t.Fatal(err)
	}
	list, err := x.List(t.Context())
	if err != nil || len(list) != 5 || slices.ContainsFunc(list, func(a string) bool { return strings.HasPrefix(a, TokenPrefix) }) {
		t.Errorf("%v, %v", list, err)
	}
	for a := range store.items {
		if strings.HasPrefix(a, TokenPrefix) {
			t.Errorf("%s is stored unlisted", a)
		}
	}
	if slices.ContainsFunc(store.deletes, func(a string) bool { return strings.HasPrefix(a, "secret:") }) {
		t.Errorf("a secret was deleted: %v", store.deletes)
	}
	if err := x.Add(t.Context(), TokenPrefix+"new"); err != nil { // there is room again
		t.Error(err)
	}
}

func TestIndexFullOfSecrets(t *testing.T) {
	store := full(43, 0)
	before := store.items[IndexAccount]
	x := (&Cache{Store: store, Now: time.Now}).Index()
	err := x.Add(t.Context(), "secret:new.example:"+strings.Repeat("c", 40))
	if !errors.Is(err, ErrIndexFull) || store.items[IndexAccount] != before || len(store.deletes) != 0 {
		t.Errorf("%v, deleted %v", err, store.deletes)
	}
}

func TestUnreadableIndexIsNotWrittenOver(t *testing.T) {
	store := &memory{items: map[string]string{IndexAccount: "secret:h:c", "token:x": "t"}, peek: func(a string) error {
		if a == IndexAccount {
			return errLocked
		}
		return nil
	}}
	x := (&Cache{Store: store, Now: time.Now}).Index()
	if err := x.Add(t.Context(), "token:y"); !errors.Is(err, errLocked) {
		t.Errorf("Add: %v", err)
	}
	if err := x.Remove(t.Context(), "token:x"); !errors.Is(err, errLocked) {
		t.Errorf("Remove: %v", err)
	}
	if store.items[IndexAccount] != "secret:h:c" {
		t.Errorf("the index is %q", store.items[IndexAccount])
	}
}

// An account that cannot be deleted stays listed.
func TestRemoveKeepsWhatCannotBeDeleted(t *testing.T) {
	store := &stubborn{memory{items: map[string]string{IndexAccount: "token:x", "token:x": "t"}}}
	x := (&Cache{Store: store, Now: time.Now}).Index()
	if err := x.Remove(t.Context(), "token:x"); !errors.Is(err, errLocked) || store.items[IndexAccount] != "token:x" {
		t.Errorf("%v, index %q", err, store.items[IndexAccount])
	}
}

type stubborn struct{ memory }

func (*stubborn) Delete(context.Context, string) error { return errLocked }

func TestIndexOfTwoProcesses(t *testing.T) {
	store, dir := &memory{slow: 2 * time.Millisecond}, t.TempDir()
	var wg sync.WaitGroup
	const each = 4
	for p := range 5 {
		x := (&Cache{Store: store, Now: time.Now, LockDir: dir}).Index()
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
	list, err := (&Cache{Store: store}).Index().List(t.Context())
	if err != nil || len(list) != 5*(each-1) {
		t.Errorf("%d entries, and not %d: %v, %v", len(list), 5*(each-1), list, err)
	}
}

func TestIndexLockIsWaitedForWithALimit(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir, "index.lock")
	var log told
	x := (&Cache{Store: &memory{}, Now: time.Now, LockDir: dir, Told: log.tell}).Index()
	begun := time.Now()
	if err := x.Add(t.Context(), "secret:h:c"); err != nil || time.Since(begun) > 2*indexWait || !strings.Contains(log.String(), "locking the index") {
		t.Errorf("%v after %s, told %s", err, time.Since(begun), &log)
	}
}
