package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Mint exchanges the secret for a database token within --timeout: two calls,
// and beside the second one another where the database's host or the user must be
// asked for. A target's short name is looked up in between.
// With --credential workspace the second one is left out: the first one's token
// is the password.
func (b *Broker) Mint(ctx context.Context, secret credential.Secret) (tokencache.Entry, error) {
	c, ws := b.Config, b.Workspace
	ctx, cancel := context.WithTimeout(ctx, c.Timeout.Value)
	defer cancel()
	if err := b.decide(ctx); err != nil {
		return tokencache.Entry{}, err
	}
	b.tell(AtExchange, c.Workspace.Value.HostPort())
	bearer, err := b.signIn(ctx, ws, secret)
	if err != nil {
		return tokencache.Entry{}, err
	}
	target, err := b.resolve(ctx, bearer.Value)
	if err != nil {
		return tokencache.Entry{}, err
	}
	var host, user string
	asked := b.aside(cancel, func() (err error) {
		host, err = b.askHost(ctx, ws, bearer.Value, target)
		return err
	}, !c.PGHostTrusted())
	named := b.aside(cancel, func() (err error) {
		user, err = b.askUser(ctx, bearer.Value)
		return err
	}, c.User.Value == "")
	token := bearer
	if c.Credential.Value != config.CredentialWorkspace {
		token, err = attempt(ctx, func(ctx context.Context) (credential.Token, error) {
			return ws.DatabaseCredential(ctx, bearer.Value, target.Name, c.TTL.Value)
		})
		if err != nil {
			cancel()
		}
	}
	if err := first(<-asked, err, <-named); err != nil {
		return tokencache.Entry{}, err
	}
	b.tell(Note, fmt.Sprintf("%s gave a token, good until %s", c.Workspace.Value.HostPort(), token.ExpiresAt.UTC().Format("15:04:05Z")))
	return tokencache.Entry{Token: token, DatabaseHost: host, User: user, Fingerprint: b.Config.Key().Fingerprint(secret)}, nil
}

// aside makes a call beside the one for the token, if it is needed. Where it
// fails, the other calls' answers are of no use any more.
func (b *Broker) aside(cancel func(), call func() error, needed bool) <-chan error {
	done := make(chan error, 1)
	if !needed {
		done <- nil
		return done
	}
	go func() {
		err := call()
		if err != nil {
			cancel()
		}
		done <- err
	}()
	return done
}

// askUser asks the workspace who has signed in.
func (b *Broker) askUser(ctx context.Context, bearer credential.Secret) (string, error) {
	me, err := attempt(ctx, func(ctx context.Context) (exchange.Identity, error) { return b.People.Me(ctx, bearer) })
	if err != nil {
		return "", err
	}
	return config.CheckUser(me.UserName, "the user name that "+b.Config.Workspace.Value.HostPort()+" gives")
}

// SignIn exchanges the secret for a workspace token within --timeout.
func (b *Broker) SignIn(ctx context.Context, secret credential.Secret) (credential.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Config.Timeout.Value)
	defer cancel()
	b.tell(AtExchange, b.Config.Workspace.Value.HostPort())
	if err := b.decide(ctx); err != nil {
		return credential.Token{}, err
	}
	return b.signIn(ctx, b.Workspace, secret)
}

// first picks the error that says most: a call that was given up because the
// other one failed is not it.
func first(errs ...error) error {
	var last error
	for _, err := range errs {
		if err == nil {
			continue
		}
		if !errors.Is(err, context.Canceled) {
			return err
		}
		last = err
	}
	return last
}

// attempt makes a call until it works, is refused, or ctx's time is over.
func attempt[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	return retry.Do(ctx, retry.Exchange(), call, func(err error) retry.Verdict {
		var e *exchange.Error
		if !errors.As(err, &e) {
			return retry.Verdict{}
		}
		again, after := e.Retryable()
		return retry.Verdict{Retry: again, After: after}
	})
}

// askHost asks the target for its host, the read-only one with --read-only, and
// holds it against the one that was configured. What the search for the target
// has brought is not asked for again.
func (b *Broker) askHost(ctx context.Context, ws Workspace, bearer credential.Secret, e exchange.Endpoint) (string, error) {
	c, err := b.Config, error(nil)
	if e.State == "" {
		e, err = attempt(ctx, func(ctx context.Context) (exchange.Endpoint, error) {
			return ws.Endpoint(ctx, bearer, e.Name)
		})
		if err != nil {
			return "", err
		}
	}
	if kind := e.UnusableKind(); kind != "" {
		return "", unusable(c, kind, e)
	}
	host, readOnlyHost := e.Host, e.ReadOnlyHost
	if c.ReadOnly.Value {
		host, readOnlyHost = e.ReadOnlyHost, ""
	}
	if host == "" {
		return "", &HostError{Configured: c.PGHost, Target: c.Target(), ReadOnly: c.ReadOnly.Value}
	}
	named, err := config.CheckDatabaseHost(host, "the "+hostName(c.ReadOnly.Value)+" of "+c.Target())
	if err != nil {
		return "", err
	}
	if h := c.PGHost.Value; h != "" && h != named {
		other, err := config.CheckDatabaseHost(readOnlyHost, "the read-only host of "+c.Target())
		if err != nil || h != other {
			return "", &HostError{Configured: c.PGHost, Target: c.Target(), ReadOnly: c.ReadOnly.Value, Named: named}
		}
		// It serves here; what is remembered is where a run without PGHOST goes.
	}
	return named, nil
}

// unusable is the error for a target whose state keeps every login out.
func unusable(c config.Config, kind exchange.Kind, e exchange.Endpoint) error {
	call, state := exchange.CallEndpoint, "disabled"
	if c.Instance.Value != "" {
		call, state = exchange.CallInstance, e.State
	}
	return &exchange.Error{Call: call, Host: c.Workspace.Value.HostPort(), Kind: kind, Message: c.Target() + " is " + state}
}
