package cache

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// keeps is a store that gives up everything but tokens.
type keeps struct{ *memory }

func (k keeps) Delete(ctx context.Context, account string) error {
	if account == "token:x" {
		return errLocked
	}
	return k.memory.Delete(ctx, account)
}

// What could not be deleted is not struck off, whatever else could be.
func TestStruckOffOnlyWhenGone(t *testing.T) {
	store := keeps{&memory{items: map[string]string{IndexAccount: "token:x\ntoken:y", "token:x": "t", "token:y": "t"}}}
	x := (&Cache{Store: store, Now: time.Now}).Index()
	if err := x.Remove(t.Context(), "token:x"); !errors.Is(err, errLocked) || store.items[IndexAccount] != "token:x\ntoken:y" {
		t.Errorf("%v, index %q", err, store.items[IndexAccount])
	}
	if err := x.Remove(t.Context(), "token:y"); err != nil || store.items[IndexAccount] != "token:x" {
		t.Errorf("%v, index %q", err, store.items[IndexAccount])
	}
}

// A store that holds something odd serves all the same: what is minted goes there.
func TestOddItemsAreNoFault(t *testing.T) {
	for err, want := range map[error]health{errForeign: serving, errUnreadable: serving, error(missing{}): serving, errNoStore: absent, context.DeadlineExceeded: silent} {
		if got := healthOf(fmt.Errorf("reading: %w", err)); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if healthOf(nil) != serving {
		t.Error("no error is a fault")
	}
	key := credential.Key{Host: "a"}
	store := &memory{items: map[string]string{account(key): encode(credential.Key{Host: "b"}, entry("t")).Reveal()}}
	c := &Cache{Store: store, Now: time.Now}
	if e, err := c.read(t.Context(), key); !errors.Is(err, errForeign) || !e.Token.Value.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
}
