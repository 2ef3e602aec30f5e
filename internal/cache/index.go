package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// IndexAccount is the item that lists all others, since an OS keychain cannot
// be asked for a list. It holds account names, no secret.
const IndexAccount = "index"

// maxIndex is the most that one item may hold (the least that every platform's
// keychain takes, with room to spare).
const maxIndex = 2400

// Index lists what is stored. An account is listed before its item is written
// and struck off after the item is gone, so that nothing is stored unlisted.
type Index struct {
	cache *Cache
}

// Index gives the store's list.
func (c *Cache) Index() Index { return Index{c} }

// ErrIndexFull says that no more can be listed.
var ErrIndexFull = errors.New("too many items are stored")

// List gives the accounts, sorted. A store that holds no index is empty.
func (x Index) List(ctx context.Context) ([]string, error) {
	text, err := x.cache.Store.Peek(ctx, IndexAccount)
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

// Add lists account. Where the list is full, the tokens on it are struck off
// and deleted: they can be minted anew.
func (x Index) Add(ctx context.Context, account string) error {
	defer x.lock(ctx)()
	list, err := x.List(ctx)
	if err == nil && slices.Contains(list, account) {
		return nil
	}
	// An index that cannot be read for now must not be written over.
	if err != nil && !IsMissing(err) {
		return err
	}
	list = append(list, account)
	if size(list) > maxIndex {
		list = slices.DeleteFunc(list, func(a string) bool {
			if !strings.HasPrefix(a, TokenPrefix) || a == account {
				return false
			}
			_ = x.cache.Store.Delete(ctx, a)
			return true
		})
	}
	if size(list) > maxIndex {
		return ErrIndexFull
	}
	return x.write(ctx, list)
}

// Remove deletes account's item and then strikes it off. An item that is not
// there is no error.
func (x Index) Remove(ctx context.Context, accounts ...string) error {
	defer x.lock(ctx)()
	for _, a := range accounts {
		if err := x.cache.Store.Delete(ctx, a); err != nil && !IsMissing(err) {
			return err
		}
	}
	list, err := x.List(ctx)
	if err != nil {
		if IsMissing(err) {
			return nil
		}
		return err
	}
	left := slices.DeleteFunc(slices.Clone(list), func(a string) bool { return slices.Contains(accounts, a) })
	if len(left) == len(list) {
		return nil
	}
	if len(left) == 0 {
		return x.cache.Store.Delete(ctx, IndexAccount)
	}
	return x.write(ctx, left)
}

func (x Index) write(ctx context.Context, list []string) error {
	slices.Sort(list)
	return x.cache.Store.Put(ctx, IndexAccount, credential.NewSecret(strings.Join(list, "\n")))
}

func size(list []string) int { return len(strings.Join(list, "\n")) }

// indexWait bounds the wait for another process's change of the list.
const indexWait = time.Second

// lock keeps two processes from losing each other's entries.
func (x Index) lock(ctx context.Context) (unlock func()) {
	if x.cache.LockDir == "" {
		return func() {}
	}
	l := x.cache.lock("index.lock")
	ctx, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	if got, err := l.TryLockContext(ctx, poll); !got {
		x.cache.told("locking the index", err)
		return func() {}
	}
	return func() { _ = l.Unlock() }
}
