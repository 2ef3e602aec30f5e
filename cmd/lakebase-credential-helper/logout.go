package main

import (
	"context"
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/cache"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// logout deletes a target's secret and tokens, or all that is stored.
func logout(ctx context.Context, c *call) error {
	removed, err := c.removeFiles()
	if err != nil {
		return err
	}
	chain := c.Keychain(c.conf)
	store, err := c.Cache(c.conf, chain, c.say)
	if err != nil {
		return err
	}
	if store.Files != nil { // tokens of runs with --cache file
		if err := c.remove(ctx, store.Over(cache.FileStore{Files: store.Files}), false); err != nil {
			return err
		}
	}
	err = c.remove(ctx, store.Over(chain), true)
	if removed && errors.Is(err, keychain.ErrAbsent) {
		return nil // the file was all that such a machine can have
	}
	return err
}

// removeFiles removes secrets' files, and says whether there was one.
func (c *call) removeFiles() (bool, error) {
	files := c.SecretFiles()
	if c.given["all"] != nil {
		return files.RemoveAll()
	}
	return files.Remove(c.conf.SecretAccount())
}

func (c *call) remove(ctx context.Context, store *cache.Cache, secrets bool) error {
	all := c.given["all"] != nil
	listed, err := store.Index().List(ctx)
	if err != nil && !c.nothing(err) {
		return err
	}
	if errors.Is(err, keychain.ErrAbsent) {
		return nil
	}
	var gone []string
	if secrets && !all {
		gone = append(gone, c.conf.SecretAccount(), c.conf.RecordAccount()) // listed or not
	}
	for _, a := range listed {
		if all || c.ours(ctx, store, a) {
			gone = append(gone, a)
		}
	}
	return store.Index().Remove(ctx, gone...)
}

// ours says whether a cached token belongs to the target's host and client.
func (c *call) ours(ctx context.Context, store *cache.Cache, account string) bool {
	d, err := store.Describe(ctx, account)
	return err == nil && d.Host == c.conf.Workspace.V.HostPort() && d.ClientID == c.conf.ClientID.V
}
