package emulator

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// forgetTokens deletes the tokens of this workspace from the kernel's keyring,
// where programs that used it have left them: they would count towards the user's
// quota for an hour.
func (l *Lakebase) forgetTokens() error {
	kernel, err := tokencache.OpenKernel()
	if err != nil || l.api == nil {
		return nil
	}
	u, err := url.Parse(l.api.url)
	if err != nil {
		return err
	}
	ctx := context.Background()
	ids, err := kernel.List(ctx)
	for _, id := range ids {
		if d, gone := tokencache.Describe(ctx, kernel, id); gone == nil && strings.HasSuffix(d.Host, ":"+u.Port()) {
			err = errors.Join(err, kernel.Delete(ctx, id))
		}
	}
	return err
}
