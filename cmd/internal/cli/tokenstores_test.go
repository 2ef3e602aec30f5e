package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
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
		o := cacheObserver{log, StartProgress(log, false), &sync.Once{}}
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
