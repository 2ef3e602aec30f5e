package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/rootcerts"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{&UsageError{Problem: "p"}, 120},
		{&config.Error{Problem: "p"}, 120},
		{&pgenv.KeepError{}, 120},
		{&pgenv.ValueError{}, 120},
		{&auth.SecretFileError{Err: errors.New("x")}, 120},
		{&lakebase.HostError{}, 120},
		{&rootcerts.Error{Err: errors.New("x")}, 120},
		{&rootcerts.WriteError{Err: errors.New("x")}, 125},
		{&securefile.Error{}, 120},
		{&pglogin.Error{Kind: pglogin.BadTarget}, 120},
		{&pglogin.Error{Kind: pglogin.BadRootCert}, 120},
		{&process.NotFoundError{}, 127},
		{&process.NotExecutableError{}, 126},
		{&auth.NoSecretError{Err: &keychain.Error{Err: keychain.ErrNotFound}}, 121},
		{&keychain.Error{Err: keychain.ErrLocked}, 121},
		{&exchange.Error{Kind: exchange.KindInvalidClient}, 122},
		{&exchange.Error{Kind: exchange.KindEndpointDisabled}, 122},
		{&rotate.TooManyError{}, 122},
		{&pglogin.Error{Kind: pglogin.RoleMissing}, 123},
		{&pglogin.Error{Kind: pglogin.WakeTimeout}, 123},
		{&pglogin.Error{Kind: pglogin.WakeTimeout, Last: &pglogin.Error{Kind: pglogin.Unreachable}}, 123},
		{&process.StartError{Err: errors.New("x")}, 125},
		{errors.New("anything"), 125},
		{context.Canceled, 125},
		// What is at the root of a failure counts, not the layer that met it.
		{&exchange.Error{Kind: exchange.KindCertificate, Err: &rootcerts.Error{Err: errors.New("x")}}, 120},
		{&auth.SecretFileError{Err: &securefile.Error{}}, 120},
	} {
		for name, err := range map[string]error{
			"itself": c.err, "wrapped": fmt.Errorf("x: %w", c.err), "joined": errors.Join(errors.New("x"), c.err),
			"tried": &retry.Error{Last: c.err, Attempts: 3}, "joined and wrapped": fmt.Errorf("%w, %w", errors.New("x"), fmt.Errorf("y: %w", c.err)),
		} {
			if got := ExitCode(err); got != c.code {
				t.Errorf("%T %v, %s: %d, and not %d", c.err, c.err, name, got, c.code)
			}
		}
	}
	if ExitCode(nil) != 0 {
		t.Error("no error has an exit code")
	}
}
