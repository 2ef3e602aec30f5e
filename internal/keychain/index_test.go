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
	store := &memory{items: map[string]string{}}
	x := NewIndex(store, filepath.Join(t.TempDir(), "lock"))
	if list, err := x.List(t.Context()); !errors.Is(err, ErrNotFound) || len(list) != 0 {
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
	if list, err := NewIndex(store, "").List(t.Context()); err != nil || !cmp.Equal(list, []string{"secret:h:c"}) {
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
	x := NewIndex(store, "")
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
	x := NewIndex(store, "")
	err := x.Add(t.Context(), "secret:new.example:"+strings.Repeat("c", 40))
	if !errors.Is(err, ErrIndexFull) || store.items[IndexAccount] != before || len(store.deletes) != 0 {
		t.Errorf("%v, deleted %v", err, store.deletes)
	}
}

func TestUnreadableIndexIsNotWrittenOver(t *testing.T) {
	store := &memory{items: map[string]string{IndexAccount: "secret:h:c", "token:x": "t"}, peek: func(a string) error {
		if a == IndexAccount {
			return ErrLocked
		}
		return nil
	}}
	x := NewIndex(store, "")
	if err := x.Add(t.Context(), "token:y"); !errors.Is(err, ErrLocked) {
		t.Errorf("Add: %v", err)
	}
	if err := x.Remove(t.Context(), "token:x"); !errors.Is(err, ErrLocked) {
		t.Errorf("Remove: %v", err)
	}
	if store.items[IndexAccount] != "secret:h:c" {
		t.Errorf("the index is %q", store.items[IndexAccount])
	}
}

func TestIndexOfTwoProcesses(t *testing.T) {
	store, lock := &memory{slow: 2 * time.Millisecond}, filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	const each = 4
	for p := range 5 {
		x := NewIndex(store, lock)
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
	list, err := NewIndex(store, "").List(t.Context())
	if err != nil || len(list) != 5*(each-1) {
		t.Errorf("%d entries, and not %d: %v, %v", len(list), 5*(each-1), list, err)
	}
}

// A stopped process that holds the lock delays a change, and does not prevent it.
func TestIndex_LockOfStoppedProcess(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	unlock, ok, err := filelock.TryLock(lock)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer unlock()
	store := &memory{}
	if err := NewIndex(store, lock).Add(t.Context(), "secret:h:c"); err != nil || store.text(IndexAccount) != "secret:h:c" {
		t.Errorf("got %v, index %q; want the account listed", err, store.text(IndexAccount))
	}
}

// An item that could not be deleted stays listed, whatever else could be.
func TestIndex_RemoveKeepsWhatIsLeft(t *testing.T) {
	store := &memory{items: map[string]string{IndexAccount: "token:x\ntoken:y", "token:x": "t", "token:y": "t"}, undeletable: "token:x"}
	x := NewIndex(store, "")
	if err := x.Remove(t.Context(), "token:x"); !errors.Is(err, ErrLocked) || store.items[IndexAccount] != "token:x\ntoken:y" {
		t.Errorf("got %v, index %q; want both accounts", err, store.items[IndexAccount])
	}
	if err := x.Remove(t.Context(), "token:y"); err != nil || store.items[IndexAccount] != "token:x" {
		t.Errorf("got %v, index %q; want token:x", err, store.items[IndexAccount])
	}
}

func TestTokens(t *testing.T) {
	store := &memory{}
	tokens := Tokens{NewIndex(store, "")}
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
	if err := tokens.Delete(t.Context(), "a", "b"); err != nil || store.text(IndexAccount) != "secret:h:c" || len(store.items) != 1 {
		t.Errorf("got %v, left %v; want the secret alone listed", err, store.items)
	}
	if err := tokens.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// memory is Items without a keychain.
type memory struct {
	mu          sync.Mutex
	items       map[string]string
	peek        func(account string) error // to fail with, where not nil
	slow        time.Duration              // of each write
	undeletable string
	deletes     []string
}

func (s *memory) Peek(_ context.Context, account string) (credential.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peek != nil {
		if err := s.peek(account); err != nil {
			return credential.Secret{}, err
		}
	}
	text, ok := s.items[account]
	if !ok {
		return credential.Secret{}, &Error{Err: ErrNotFound}
	}
	return credential.NewSecret(text), nil
}

func (s *memory) Put(_ context.Context, account string, item credential.Secret) error {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		s.items = map[string]string{}
	}
	s.items[account] = item.Reveal()
	return nil
}

func (s *memory) Delete(_ context.Context, account string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if account == s.undeletable {
		return &Error{Err: ErrLocked}
	}
	s.deletes = append(s.deletes, account)
	if _, ok := s.items[account]; !ok {
		return &Error{Err: ErrNotFound}
	}
	delete(s.items, account)
	return nil
}

func (s *memory) text(account string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items[account]
}
