package keychain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

// IndexAccount is the item that lists all others, since an OS keychain cannot
// be asked for a list. It holds account names, no secret.
const IndexAccount = "index"

// TokenPrefix begins the account of every cached token.
const TokenPrefix = "token:"

// maxIndex bounds the index in bytes, for the reason of MaxItem.
const maxIndex = MaxItem

// ErrIndexFull: no more items can be listed.
var ErrIndexFull = errors.New("too many items are stored")

// Items are the calls of a Keychain or a Patient that never show a dialog.
type Items interface {
	Peek(ctx context.Context, account string) (credential.Secret, error)
	Put(ctx context.Context, account string, item credential.Secret) error
	Delete(ctx context.Context, account string) error
}

// Index lists what is stored. An account is listed before its item is written
// and removed from the list after the item is deleted, so that no item is unlisted.
type Index struct {
	items Items
	lock  string
}

// NewIndex returns the index of items. lock is the path of a file that keeps two
// processes from losing each other's entries; empty: there is none.
func NewIndex(items Items, lock string) Index { return Index{items, lock} }

// List returns the accounts, sorted.
func (x Index) List(ctx context.Context) ([]string, error) {
	text, err := x.items.Peek(ctx, IndexAccount)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range strings.Split(text.Reveal(), "\n") {
		if strings.Contains(l, ":") {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Add lists account. If the list is full, the tokens on it are deleted: they can be
// minted again.
func (x Index) Add(ctx context.Context, account string) error {
	defer x.acquire(ctx)()
	list, err := x.List(ctx)
	if err == nil && slices.Contains(list, account) {
		return nil
	}
	// An index that cannot be read now must not be overwritten.
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	list = append(list, account)
	if size(list) > maxIndex {
		list = slices.DeleteFunc(list, func(a string) bool {
			if !strings.HasPrefix(a, TokenPrefix) || a == account {
				return false
			}
			_ = x.items.Delete(ctx, a)
			return true
		})
	}
	if size(list) > maxIndex {
		return ErrIndexFull
	}
	return x.write(ctx, list)
}

// Remove deletes the accounts' items and removes them from the list. An item that
// does not exist is no error.
func (x Index) Remove(ctx context.Context, accounts ...string) error {
	defer x.acquire(ctx)()
	for _, a := range accounts {
		if err := x.items.Delete(ctx, a); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	list, err := x.List(ctx)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	left := slices.DeleteFunc(slices.Clone(list), func(a string) bool { return slices.Contains(accounts, a) })
	if len(left) == len(list) {
		return nil
	}
	if len(left) == 0 {
		return x.items.Delete(ctx, IndexAccount)
	}
	return x.write(ctx, left)
}

func (x Index) write(ctx context.Context, list []string) error {
	slices.Sort(list)
	return x.items.Put(ctx, IndexAccount, credential.NewSecret(strings.Join(list, "\n")))
}

func size(list []string) int { return len(strings.Join(list, "\n")) }

// indexWait bounds the wait for another process's change of the list. A change
// without the lock is better than none.
const indexWait = time.Second

func (x Index) acquire(ctx context.Context) (unlock func()) {
	if x.lock == "" {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	unlock, _, _ = filelock.Lock(ctx, x.lock)
	return unlock
}

// Tokens keeps cached tokens as items of the keychain, with an ID for each.
type Tokens struct{ Index }

// Get reads a token's item.
func (t Tokens) Get(ctx context.Context, id string) (credential.Secret, error) {
	return t.items.Peek(ctx, TokenPrefix+id)
}

// Set lists and stores a token's item. A keychain has no expiry.
func (t Tokens) Set(ctx context.Context, id string, item credential.Secret, _ time.Time) error {
	if err := t.Add(ctx, TokenPrefix+id); err != nil {
		return err
	}
	return t.items.Put(ctx, TokenPrefix+id, item)
}

// Delete removes tokens' items.
func (t Tokens) Delete(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	accounts := make([]string, len(ids))
	for i, id := range ids {
		accounts[i] = TokenPrefix + id
	}
	return t.Remove(ctx, accounts...)
}

// List returns the tokens' IDs. A keychain that does not exist has none.
func (t Tokens) List(ctx context.Context) (ids []string, err error) {
	accounts, err := t.Index.List(ctx)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrAbsent) {
		return nil, nil
	}
	for _, a := range accounts {
		if id, ok := strings.CutPrefix(a, TokenPrefix); ok {
			ids = append(ids, id)
		}
	}
	return ids, err
}
