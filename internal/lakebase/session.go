// Package lakebase obtains a working database login: it takes a token from the cache
// or mints one, finds the database host, and waits until the compute accepts a login.
// It never prints and never reads the process environment.
package lakebase

import (
	"context"
	"errors"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// Connector logs in to a database, waiting for the compute until ctx ends.
type Connector interface {
	Login(ctx context.Context, t pglogin.Target, password credential.Secret) error
}

// Session is everything that a client needs to connect.
type Session struct {
	Target pglogin.Target
	Token  credential.Token

	key    credential.Key // of the cached token
	cached bool           // the workspace was not asked
}

// Open returns a session: a token from s, and then a login with the very values that
// a client would get, as --wait says. A cached token that the server refuses is
// replaced once. roots is the file of root certificates; it may be empty under
// sslmode=require. Further errors: *pglogin.Error.
func Open(ctx context.Context, s *Source, c Connector, proofs Proofs, roots string) (Session, error) {
	session, err := s.get(ctx, credential.Secret{}, false)
	if err != nil {
		return Session{}, err
	}
	if session.cached {
		s.observer.Note("using the cached token, valid until " + session.Token.ExpiresAt.UTC().Format(time.RFC3339))
	}
	session.Target.SSLRootCert = roots
	if s.conf.Native() { // a digest of a weak password would reveal it
		proofs = Proofs{}
	}
	switch s.conf.Wait.Value {
	case config.WaitNever:
		return session, nil
	case config.WaitAuto:
		if proofs.recent(session) {
			s.observer.Note("a login with these values has just succeeded")
			return session, nil
		}
	}
	err = s.login(ctx, c, session)
	if refused, ok := errors.AsType[*pglogin.Error](err); ok && session.cached && refused.TokenRefused() {
		s.observer.Note("the database refused the cached token; requesting a new one")
		if session, err = s.get(ctx, session.Token.Value, false); err != nil {
			return Session{}, err
		}
		session.Target.SSLRootCert = roots
		err = s.login(ctx, c, session)
	}
	if err != nil {
		return Session{}, err
	}
	if err := proofs.record(session); err != nil {
		s.observer.Note("recording the login: " + err.Error())
	}
	return session, nil
}

// login logs in once, within --wait-timeout.
func (s *Source) login(ctx context.Context, c Connector, session Session) error {
	ctx, cancel := context.WithTimeout(ctx, s.conf.WaitTimeout.Value)
	defer cancel()
	s.observer.Stage(auth.StageLogin, session.Target.Host)
	return c.Login(ctx, session.Target, session.Token.Value)
}

// Target returns what a configuration connects to at a host.
func Target(c config.Config, roots, host string) pglogin.Target {
	return pglogin.Target{Host: host, Port: c.PGPort.Value, HostAddr: c.PGHostAddr.Value, Database: c.Database.Value, User: c.User.Value,
		SSLMode: c.SSLMode.Value, SSLRootCert: roots}
}
