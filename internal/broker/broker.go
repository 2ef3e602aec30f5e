// Package broker owns the order of the road: cache, keychain, exchange, wake.
// Both programs walk it here and nowhere else. It must never know the process,
// print, or make a request, a prompt or a login that its caller did not ask for.
package broker

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/loginproof"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Secrets is the keychain, as far as the road needs it. Get may prompt.
type Secrets interface {
	Get(ctx context.Context, account string) (credential.Secret, error)
}

// Workspace makes one attempt at each call of the workspace's API.
type Workspace interface {
	WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error)
	DatabaseCredential(ctx context.Context, bearer credential.Secret, target string, ttl time.Duration) (credential.Token, error)
	Endpoint(ctx context.Context, bearer credential.Secret, target string) (exchange.Endpoint, error)
}

// Waker proves a login, waiting for the compute until ctx ends.
type Waker interface {
	Login(ctx context.Context, t pglogin.Target, password credential.Secret) error
}

// Stage is a part of the road that may take long enough to be spoken of.
type Stage int

// The stages. Note is a word for --verbose and no wait, Warning one for everybody.
const (
	Note Stage = iota
	Warning
	AtKeychain
	AtExchange
	AtWake
)

// Broker walks the road for one configuration.
type Broker struct {
	Config         config.Config
	Secrets        Secrets
	Workspace      Workspace
	Waker          Waker
	Cache          *tokencache.Cache
	Logins         loginproof.Proofs
	ReadSecretFile func(path string) (credential.Secret, error)
	SSLRootCert    string // the path that the child gets; empty with sslmode=require
	Now            func() time.Time
	Tell           func(s Stage, text string) // may be nil

	// QuietSecrets is Secrets without dialogs, for Renew; nil: Secrets.
	QuietSecrets Secrets

	// What the other ways in need; nil where a program has no use for them.
	People        People
	Federation    Federation
	Discovery     Discovery
	Directory     Directory
	Browser       Browser
	Accounts      func(ctx context.Context) ([]string, error)                           // what is stored
	Keep          func(ctx context.Context, account string, s credential.Secret) error  // stores a refresh token
	WorkloadToken func(ctx context.Context, audience string) (credential.Secret, error) // of a file, or GitHub's
	DatabricksCLI func(ctx context.Context) (credential.Token, error)                   // runs databricks auth token

	given  *credential.Secret // from option, file or environment; read once
	proven credential.Secret  // the last one that signed in
	person string             // who signs in, where it is a person of the keychain's

	arrived *exchange.Grant // of a login that was made just now

	discovered bool               // the host was asked where its endpoints are
	found      exchange.Discovery // its answer, where it had one

	quiet   bool              // nobody is asked anything
	refused credential.Secret // a token that must not be given again
	rest    time.Duration     // what must be left of the life of one that is a password
}

// Session is a way into the database that works now, or is believed to.
type Session struct {
	Target pglogin.Target
	Token  credential.Token
	Cached bool // nothing was asked of the workspace

	result tokencache.Result
}

// Token gets a database token and the host that it is for, from the cache where
// it can. It makes no login. Errors: *NoSecretError, *NoPersonError, *SignedOutError,
// *HostError, *TargetError, *FederationError, *exchange.Error (inside a *retry.Error where it was tried more than once).
func (b *Broker) Token(ctx context.Context) (Session, error) {
	return b.token(ctx, credential.Secret{})
}

// Ready is Token and then, as --wait says, a login with the very values that a
// child would get. A cached token that the server refuses is minted anew once.
// Further errors: *pglogin.Error.
func (b *Broker) Ready(ctx context.Context) (Session, error) {
	s, err := b.Token(ctx)
	if err != nil {
		return Session{}, err
	}
	if err := b.prove(ctx, &s); err != nil {
		return Session{}, err
	}
	return s, nil
}

// prove makes the login that --wait asks for.
func (b *Broker) prove(ctx context.Context, s *Session) error {
	if b.Config.Wait.Value == config.WaitNever {
		return nil
	}
	key := b.Config.Key()
	if b.Config.Wait.Value == config.WaitAuto && b.Logins.Recent(key, login(*s)) {
		b.tell(Note, "a login with these values worked a moment ago")
		return nil
	}
	err := b.wait(ctx, *s)
	if s.Cached && s.result.Cached && refused(err) {
		b.tell(Note, "the database refused the cached token; asking for a new one")
		again, mintErr := b.token(ctx, s.Token.Value)
		if mintErr != nil {
			return mintErr
		}
		*s = again
		err = b.wait(ctx, *s)
	}
	if err != nil {
		return err
	}
	if err := b.Logins.Record(key, login(*s)); err != nil {
		b.tell(Note, "recording the login: "+err.Error())
	}
	return nil
}

// wait makes the login, for --wait-timeout.
func (b *Broker) wait(ctx context.Context, s Session) error {
	ctx, cancel := context.WithTimeout(ctx, b.Config.WaitTimeout.Value)
	defer cancel()
	b.tell(AtWake, s.Target.Host)
	return b.Waker.Login(ctx, s.Target, s.Token.Value)
}

func login(s Session) loginproof.Login {
	t := s.Target
	return loginproof.Login{Host: t.Host, HostAddr: t.HostAddr, Port: t.Port, Database: t.Database, User: t.User,
		SSLMode: t.SSLMode, SSLRootCert: t.SSLRootCert, Token: s.Token.Value}
}

func (b *Broker) tell(s Stage, text string) {
	if b.Tell != nil {
		b.Tell(s, text)
	}
}

// Target puts together what the login and the child get, for a database host.
func (b *Broker) Target(host string) pglogin.Target { return Target(b.Config, b.SSLRootCert, host) }

// Target is what a configuration connects to; roots may be empty under
// sslmode=require.
func Target(c config.Config, roots, host string) pglogin.Target {
	return pglogin.Target{Host: host, Port: c.PGPort.Value, HostAddr: c.PGHostAddr.Value, Database: c.Database.Value, User: c.User.Value,
		SSLMode: c.SSLMode.Value, SSLRootCert: roots}
}
