package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// A token that a store cannot keep is one warning, except for get, which has no progress.
func TestCacheFailed_Warns(t *testing.T) {
	for _, c := range []struct {
		err   error
		get   bool
		warns int
	}{
		{&keychain.Error{Err: keychain.ErrTooBig}, false, 1}, {fmt.Errorf("x: %w", tokencache.ErrTooBig), false, 1}, {tokencache.ErrQuota, false, 1},
		{tokencache.ErrTooBig, true, 0}, {errors.New("no such file"), false, 0}, {&keychain.Error{Err: keychain.ErrLocked}, false, 0},
	} {
		var out bytes.Buffer
		log := NewLogger("p", &out, config.LogNormal, false)
		o := &observer{log: log, progress: newProgress(log, false)}
		if c.get {
			o.progress = nil
		}
		for range 3 {
			o.CacheFailed("storing the token", c.err)
		}
		if n := strings.Count(out.String(), "p: warning: the token cannot be cached, so that each start signs in again: "); n != c.warns {
			t.Errorf("%v: got %d warnings, want %d: %s", c.err, n, c.warns, out.String())
		}
	}
}

// brokenStore lists tokens whose items cannot be read, for the errors given by ID.
type brokenStore struct {
	errs    map[string]error
	deleted []string
}

func (s *brokenStore) Get(_ context.Context, id string) (credential.Secret, error) {
	return credential.Secret{}, s.errs[id]
}

func (s *brokenStore) Set(context.Context, string, credential.Secret, time.Time) error { return nil }

func (s *brokenStore) Delete(_ context.Context, ids ...string) error {
	s.deleted = append(s.deleted, ids...)
	return nil
}

func (s *brokenStore) List(context.Context) ([]string, error) {
	return []string{"locked", "missing"}, nil
}

// A logout deletes the entry of a token whose process was killed before it was stored.
// One that cannot be read may belong to another target.
func TestForget_MissingItem(t *testing.T) {
	s := &brokenStore{errs: map[string]error{"missing": &keychain.Error{Err: keychain.ErrNotFound}, "locked": &keychain.Error{Err: keychain.ErrLocked}}}
	err := forget(t.Context(), s, func(tokencache.Description) bool { return true })
	if want := []string{"missing"}; err != nil || !slices.Equal(s.deleted, want) {
		t.Errorf("got %q deleted (%v), want %q", s.deleted, err, want)
	}
}

func TestRunTool_Bounded(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs sh")
	}
	run := func(script string) ([]byte, error) {
		return outside{Environment: newEnvironment()}.RunTool(t.Context(), "/bin/sh", "-c", script)
	}
	if out, err := run("echo a"); string(out) != "a\n" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := run("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"); err == nil {
		t.Error("got no error for endless output")
	}
}
