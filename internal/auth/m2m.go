package auth

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// AuthM2M is a service principal with a client ID and a secret (OAuth client
// credentials).
const AuthM2M = config.AuthM2M

func configureM2M(_ context.Context, d Deps, conf config.Config) (Source, Identity, error) {
	if conf.ClientID.Value == "" {
		return nil, Identity{}, ErrNotConfigured
	}
	src := &m2mSource{Deps: d, conf: conf, discovery: newDiscovery(d, conf)}
	var err error
	if src.given, err = readGiven(d, conf); err != nil {
		return nil, Identity{}, err
	}
	return src, Identity{Given: src.given}, nil
}

type m2mSource struct {
	Deps
	conf      config.Config
	discovery *discovery
	given     credential.Secret                 // by option, file or variable, as first read; Refresh reads again
	proven    atomic.Pointer[credential.Secret] // the last one that signed in
}

// readGiven returns the secret from an option, file or variable; zero if it is
// stored.
func readGiven(d Deps, conf config.Config) (credential.Secret, error) {
	src := conf.Secret
	if src.Kind != config.SecretInFile {
		return src.Text, nil
	}
	secret, err := d.Process.ReadSecretFile(src.Path)
	if err != nil {
		return credential.Secret{}, &config.Error{Name: src.Source.String(), Problem: err.Error(), Err: err}
	}
	return secret, nil
}

func (s *m2mSource) stored(ctx context.Context, read reader) (credential.Secret, error) {
	secret, err := readStored(ctx, s.Deps, s.conf, s.conf.SecretAccount(), read)
	if err == nil {
		if err = credential.CheckCharacters(secret.Reveal()); err == nil {
			return secret, nil
		}
		err = fmt.Errorf("the stored one %v", err) // hint: store it again
	}
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return credential.Secret{}, cause
	}
	return credential.Secret{}, &NoSecretError{Host: s.conf.Workspace.Value.HostPort(), ClientID: s.conf.ClientID.Value, Err: err}
}

// current returns the given secret, or the stored one.
func (s *m2mSource) current(ctx context.Context) (credential.Secret, error) {
	if !s.given.IsZero() {
		return s.given, nil
	}
	return s.stored(ctx, s.Secrets.Get)
}

func (s *m2mSource) Token(ctx context.Context) (credential.Token, error) {
	secret, err := s.current(ctx)
	if err != nil {
		return credential.Token{}, err
	}
	return s.signIn(ctx, secret)
}

// Refresh reads the secret again, for it may have been rotated. If it cannot be
// read within half of the time, the one that worked last is used.
func (s *m2mSource) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	proven := s.proven.Load()
	secret, err := readGiven(s.Deps, s.conf)
	if err == nil && secret.IsZero() {
		reading, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && proven != nil {
			reading, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		}
		secret, err = s.stored(reading, s.Secrets.Read)
		cancel()
	}
	if err != nil && proven == nil {
		return credential.Token{}, err
	}
	if err != nil {
		s.Observer.Note("using the secret that worked last: " + err.Error())
		secret = *proven
	}
	return s.signIn(ctx, secret)
}

func (s *m2mSource) Check(ctx context.Context) error {
	_, err := s.current(ctx)
	return err
}

func (s *m2mSource) signIn(ctx context.Context, secret credential.Secret) (credential.Token, error) {
	ctx, cancel := signInContext(ctx, s.Deps, s.conf)
	defer cancel()
	token, err := withTokenEndpoint(ctx, s.discovery, func(ctx context.Context) (credential.Token, error) {
		return s.Workspace.WorkspaceToken(ctx, s.conf.ClientID.Value, secret)
	})
	if err == nil {
		s.proven.Store(&secret)
	}
	return token, err
}

// reader is Secrets.Get or Secrets.Read.
type reader func(ctx context.Context, account string) (credential.Secret, error)

// readStored reads a stored secret within --keychain-timeout.
func readStored(ctx context.Context, d Deps, conf config.Config, account string, read reader) (credential.Secret, error) {
	d.Observer.Stage(StageKeychain, "")
	ctx, cancel := context.WithTimeout(ctx, conf.KeychainTimeout.Value)
	defer cancel()
	return read(ctx, account)
}

// signInContext bounds the calls of one sign-in by --timeout.
func signInContext(ctx context.Context, d Deps, conf config.Config) (context.Context, context.CancelFunc) {
	d.Observer.Stage(StageExchange, conf.Workspace.Value.HostPort())
	return context.WithTimeout(ctx, conf.Timeout.Value)
}
