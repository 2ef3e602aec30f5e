package auth

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// AuthFileOIDC is a workload whose token is in a file. The platform replaces it from
// time to time, so it is read for each sign-in.
const AuthFileOIDC = "file-oidc"

type fileOIDC struct{ Deps }

func (fileOIDC) Name() string { return AuthFileOIDC }

func (s fileOIDC) Configure(_ context.Context, conf config.Config) (Source, Identity, error) {
	if conf.Auth.Value != AuthFileOIDC {
		return nil, Identity{}, ErrNotConfigured
	}
	return s.workload(conf, AuthFileOIDC, credential.Secret{}, func(context.Context, *discovery) (credential.Secret, error) {
		return readTokenFile(conf.Secret)
	})
}

// maxTokenFile bounds the file of a workload's token, in bytes.
const maxTokenFile = 64 << 10

// readTokenFile reads a token that a platform has put into a file, such as
// Kubernetes' projected one. Its owner and mode are the platform's business.
func readTokenFile(from config.SecretSource) (credential.Secret, error) {
	fail := func(problem string, cause error) (credential.Secret, error) {
		return credential.Secret{}, &SourceError{Problem: from.Source.String() + ": " + problem, Fix: "name a file that contains the workload's token and nothing else", Err: cause}
	}
	f, err := securefile.OpenRegular(from.Path, os.O_RDONLY)
	if err != nil {
		return fail(err.Error(), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	token, invalid := credential.ParseSecret(string(data))
	switch {
	case err != nil:
		return fail(err.Error(), err)
	case errors.Is(invalid, credential.ErrBlank):
		return fail(from.Path+" is empty", nil)
	case len(data) > maxTokenFile:
		return fail(from.Path+" is longer than 64 KiB", nil)
	}
	if invalid != nil {
		return fail(from.Path+": it "+invalid.Error(), nil)
	}
	return token, nil
}
