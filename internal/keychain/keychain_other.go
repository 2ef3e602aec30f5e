//go:build !(linux || freebsd || openbsd || netbsd || dragonfly || darwin || windows)

package keychain

import (
	"context"
	"runtime"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// noKeychain is for systems that go-keyring does not support.
type noKeychain struct{}

func newBackend(func(string) string) backend { return noKeychain{} }

func (noKeychain) absent() error { return fail(ErrAbsent, "not on "+runtime.GOOS) }

func (n noKeychain) get(context.Context, string, bool) (credential.Secret, error) {
	return credential.Secret{}, n.absent()
}

func (n noKeychain) set(context.Context, string, credential.Secret, bool) error { return n.absent() }

func (n noKeychain) remove(context.Context, string) error { return n.absent() }

func (n noKeychain) list(context.Context) ([]string, error) { return nil, n.absent() }
