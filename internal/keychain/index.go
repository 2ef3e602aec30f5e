package keychain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// IndexAccount is the account of the item that lists all others, as not every keychain
// can list its items. It contains account names, no secrets.
const IndexAccount = "index"

// tokenPrefix is the prefix of the accounts of cached tokens.
const tokenPrefix = "token:"

// maxIndex is the size in bytes above which the index drops the cached tokens, which no
// keychain deletes when they expire. All platforms allow an item of that size: Windows
// 2,560 bytes, macOS a command line of 4,096 in base64 (go-keyring, ErrSetDataTooBig).
const maxIndex = 2400

// Index lists the stored items. An account is added before its item is stored, and
// removed after its item is deleted, so that every item is listed. In case the index
// itself is gone, the keychain is searched too, where that is possible.
type Index struct {
	items   *Keychain
	lock    string
	timeout time.Duration // of the wait for the lock
}

// NewIndex returns the index of items. lock is the path of a lock file, which prevents
// concurrent processes from losing entries; empty means no lock.
func NewIndex(items *Keychain, lock string) Index { return Index{items, lock, indexLockTimeout} }

// List returns the accounts that are listed, and those that a search finds, sorted.
// complete is whether that is all: without an index, and where the keychain is not
// searched, items may be missing.
func (x Index) List(ctx context.Context) (all []string, complete bool, err error) {
	text, err := x.items.Get(ctx, IndexAccount)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, false, err
	}
	found, searchErr := x.items.Accounts(ctx)
	all = append(strings.Split(text.Reveal(), "\n"), found...)
	all = slices.DeleteFunc(all, func(a string) bool { return !strings.Contains(a, ":") })
	slices.Sort(all)
	return slices.Compact(all), err == nil || searchErr == nil, nil
}

// Get returns the item of account.
func (x Index) Get(ctx context.Context, account string) (credential.Secret, error) {
	return x.items.Get(ctx, account)
}

// Set stores the item of account, and lists it before it exists.
func (x Index) Set(ctx context.Context, account string, item credential.Secret) error {
	if err := x.Add(ctx, account); err != nil {
		return err
	}
	return x.items.Set(ctx, account, item)
}

// Add adds account. If the index is full, it deletes all cached tokens.
func (x Index) Add(ctx context.Context, account string) error {
	defer x.acquire(ctx)()
	list, _, err := x.List(ctx)
	if err != nil || slices.Contains(list, account) {
		return err // do not overwrite an index that cannot be read now
	}
	list = append(list, account)
	if len(strings.Join(list, "\n")) > maxIndex {
		list = slices.DeleteFunc(list, func(a string) bool {
			if !strings.HasPrefix(a, tokenPrefix) || a == account {
				return false
			}
			_ = x.items.Delete(ctx, a)
			return true
		})
	}
	return x.write(ctx, list)
}

// Remove deletes the items of accounts and removes them from the index. It ignores items
// that do not exist.
func (x Index) Remove(ctx context.Context, accounts ...string) error {
	defer x.acquire(ctx)()
	for _, a := range accounts {
		if err := x.delete(ctx, a); err != nil {
			return err
		}
	}
	list, _, err := x.List(ctx)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(list), func(a string) bool { return slices.Contains(accounts, a) })
	switch len(left) {
	case 0:
		return x.delete(ctx, IndexAccount)
	case len(list):
		return nil
	}
	return x.write(ctx, left)
}

func (x Index) delete(ctx context.Context, account string) error {
	if err := x.items.Delete(ctx, account); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

func (x Index) write(ctx context.Context, list []string) error {
	slices.Sort(list)
	return x.items.Set(ctx, IndexAccount, credential.NewSecret(strings.Join(list, "\n")))
}

// indexLockTimeout limits the wait for other processes, of which each makes a few calls
// of the keychain. After it, as the holder may be stopped, the index is changed without
// the lock.
const indexLockTimeout = 30 * time.Second

func (x Index) acquire(ctx context.Context) (unlock func()) {
	if x.lock == "" {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	unlock, _, _ = securefile.Lock(ctx, x.lock)
	return unlock
}

// Tokens stores cached tokens as items of the keychain, by ID.
type Tokens struct{ Index }

// Get returns a token's item.
func (t Tokens) Get(ctx context.Context, id string) (credential.Secret, error) {
	return t.Index.Get(ctx, tokenPrefix+id)
}

// Set stores a token's item. A keychain does not delete expired items.
func (t Tokens) Set(ctx context.Context, id string, item credential.Secret, _ time.Time) error {
	return t.Index.Set(ctx, tokenPrefix+id, item)
}

// Delete removes the tokens' items.
func (t Tokens) Delete(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	accounts := make([]string, len(ids))
	for i, id := range ids {
		accounts[i] = tokenPrefix + id
	}
	return t.Remove(ctx, accounts...)
}

// List returns the tokens' IDs, none if there is no keychain.
func (t Tokens) List(ctx context.Context) (ids []string, err error) {
	accounts, _, err := t.Index.List(ctx)
	if errors.Is(err, ErrAbsent) {
		return nil, nil
	}
	for _, a := range accounts {
		if id, ok := strings.CutPrefix(a, tokenPrefix); ok {
			ids = append(ids, id)
		}
	}
	return ids, err
}
