package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"syscall"
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
		// The cause of a failure decides, not the layer that wraps it.
		{&exchange.Error{Kind: exchange.KindCertificate, Err: &rootcerts.Error{Err: errors.New("x")}}, 120},
		{&auth.SecretFileError{Err: &securefile.Error{}}, 120},
		{&auth.SourceError{Err: &securefile.Error{}}, 121},
		{&NoRuntimeDirError{Err: &securefile.Error{}}, 125},
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

// A fault of the machine is never an error of the configuration, whatever it made fail,
// and has a hint.
func TestExitCode_EnvironmentFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its error numbers are others")
	}
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		file := &securefile.Error{Path: "/d/f", Reason: errno.Error(), Err: &fs.PathError{Op: "open", Path: "f", Err: errno}}
		for _, err := range []error{
			file,
			&config.Error{Name: "--listen", Problem: file.Error(), Err: file, Fix: "name another directory"},
			&auth.SecretFileError{From: config.Source{Name: "--secret-file"}, Err: file},
			&auth.NoSecretError{Err: file},
			&auth.NoLoginError{Err: file},
			&auth.SourceError{Problem: file.Error(), Err: file},
			&rootcerts.Error{Path: "/d/f", Err: file},
			&NoRuntimeDirError{Err: file},
			&exchange.Error{Kind: exchange.KindBroken, Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}},
			&process.StartError{Path: "/d/f", Err: errno},
			&process.NotExecutableError{Path: "/d/f", Err: errno},
			os.NewSyscallError("pipe2", errno),
			&retry.Error{Last: file, Attempts: 2},
			fmt.Errorf("tokens: %w", errors.Join(errors.New("x"), file)),
		} {
			if got := ExitCode(err); got != 125 {
				t.Errorf("%T %v: got exit code %d, want 125", err, err, got)
			}
			if message, hint := Describe(err, nil); message == "" || hint == "" {
				t.Errorf("%T %v: got %q, hint %q", err, err, message, hint)
			}
		}
	}
}
