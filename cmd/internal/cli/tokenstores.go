package cli

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/loginproof"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// TokenStore is one place where tokens may be cached, with its --cache name.
type TokenStore struct {
	Name string
	tokencache.Store
}

// TokenStores are the stores that this process can reach, and the one to use.
type TokenStores struct {
	All      []TokenStore
	InUse    string             // the --cache name of one of All, or "off"
	Notes    []string           // why a store is not in use
	Dir      *securefile.Dir    // the runtime directory; nil without one
	Items    *keychain.Keychain // without dialogs, with its full timeout
	Keychain *keychain.Keychain // may show a dialog
}

// TokenStores opens the stores and picks one by --cache; auto takes the kernel's
// keyring where it is private to the user, else the keychain. Errors: *config.Error.
func (e *Environment) TokenStores(conf config.Config, kc *keychain.Keychain) (TokenStores, error) {
	s := TokenStores{InUse: conf.Cache.Value, Items: kc.NonInteractive(), Keychain: kc}
	dir, err := e.RuntimeDir(conf)
	if err != nil && conf.RuntimeDir.Given() {
		return s, err
	}
	if err != nil {
		s.Notes = append(s.Notes, err.Error()+": no locks, and no record of logins")
	}
	s.Dir = dir
	kernel, kernelErr := tokencache.OpenKernel()
	if kernelErr == nil {
		s.All = append(s.All, TokenStore{config.CacheKernel, kernel})
	}
	s.All = append(s.All, TokenStore{config.CacheKeychain, keychain.Tokens{Index: s.index(s.Items.WithTimeout(keychain.CacheTimeout))}})
	if dir != nil {
		s.All = append(s.All, TokenStore{config.CacheFile, tokencache.FileStore{Dir: dir}})
	}
	switch {
	case s.InUse == config.CacheAuto:
		s.InUse = config.CacheKernel
		if kernelErr == nil {
			kernelErr = tokencache.KernelIsPrivate()
		}
		if kernelErr != nil {
			s.InUse = config.CacheKeychain
			s.Notes = append(s.Notes, kernelErr.Error())
		}
	case s.InUse == config.CacheKernel && kernelErr != nil:
		if runtime.GOOS != "linux" {
			return s, &config.Error{Name: conf.Cache.Source.String(), Problem: kernelErr.Error(), Fix: "use " + config.CacheAuto}
		}
		s.InUse = config.CacheOff
		s.Notes = append(s.Notes, kernelErr.Error())
	case s.InUse == config.CacheFile && dir == nil:
		return s, &config.Error{Name: conf.Cache.Source.String(), Problem: "tokens cannot be kept: " + err.Error(), Fix: "name one with --runtime-dir", Err: err}
	}
	return s, nil
}

// Index is the keychain's list of what is stored.
func (s TokenStores) Index() keychain.Index { return s.index(s.Items) }

func (s TokenStores) index(items *keychain.Keychain) keychain.Index {
	if s.Dir == nil {
		return keychain.NewIndex(items, "")
	}
	return keychain.NewIndex(items, filepath.Join(s.Dir.Path(), "index.lock"))
}

// Cache is the token cache over the store in use.
func (s TokenStores) Cache(log *Logger, progress *Progress) *tokencache.Cache {
	for _, n := range s.Notes {
		log.Note("cache: %s", n)
	}
	o := tokencache.Options{Store: s.Store(), Observer: cacheObserver{log, progress, &sync.Once{}}, Now: time.Now}
	if s.Dir != nil {
		o.LockDir = s.Dir.Path()
	}
	return tokencache.New(o)
}

// Logins are the recent logins that the runtime directory remembers.
func (s TokenStores) Logins() loginproof.Proofs {
	if s.Dir == nil {
		return loginproof.New(nil, time.Now)
	}
	return loginproof.New(s.Dir, time.Now)
}

// Store is the store in use; nil for none.
func (s TokenStores) Store() tokencache.Store {
	for _, store := range s.All {
		if store.Name == s.InUse {
			return store.Store
		}
	}
	return nil
}

// Forget deletes the tokens that match from all stores. With match nil it deletes
// all, those that cannot be read too. The keychain has its full timeout.
func (s TokenStores) Forget(ctx context.Context, match func(tokencache.Description) bool) error {
	var errs []error
	for _, store := range s.All {
		if store.Name == config.CacheKeychain {
			store.Store = keychain.Tokens{Index: s.Index()}
		}
		errs = append(errs, forget(ctx, store, match))
	}
	return errors.Join(errs...)
}

func forget(ctx context.Context, store tokencache.Store, match func(tokencache.Description) bool) error {
	ids, err := store.List(ctx)
	if err != nil {
		return err
	}
	if match != nil {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			d, err := tokencache.Describe(ctx, store, id)
			// The keychain's index may list a token whose process was killed
			// before it was stored.
			return !tokencache.IsMissing(err) && (err != nil || !match(d))
		})
	}
	return store.Delete(ctx, ids...)
}

// cacheObserver logs failures with --verbose, and shows waits in the progress line.
type cacheObserver struct {
	log      *Logger
	progress *Progress // nil: no wait is shown
	warned   *sync.Once
}

func (o cacheObserver) CacheFailed(what string, err error) {
	tooBig := errors.Is(err, keychain.ErrTooBig) || errors.Is(err, tokencache.ErrTooBig) || errors.Is(err, tokencache.ErrQuota)
	if !tooBig || o.progress == nil { // get, which shows none, has no warnings either
		o.log.Note("%s: %v", what, err)
		return
	}
	o.warned.Do(func() {
		o.log.Warn("the token cannot be cached, so that each start signs in again: %v; use --cache file", err)
	})
}

func (o cacheObserver) CacheWaits() {
	o.progress.SetStatus("waiting for another process that is signing in")
}
