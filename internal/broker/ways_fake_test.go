package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

const ada = "ada@example.com"

// ways is a world with more ways in than a secret.
type ways struct {
	*world
	stored  map[string]string // by account
	refresh string            // the one that works
	rotates bool
	lost    bool // the new refresh token cannot be stored
	me      string
	subject string // that is taken
	doc     exchange.Discovery
	docErr  error
	adopted bool

	branches  map[string][]exchange.Branch   // by project
	endpoints map[string][]exchange.Endpoint // by branch
	said      []string                       // warnings
}

func newWays() *ways {
	w := newWorld()
	return &ways{world: w, stored: map[string]string{}, refresh: "refresh-0", me: ada, subject: "workload"}
}

func (w *ways) Get(_ context.Context, account string) (credential.Secret, error) {
	w.note("keychain")
	text, ok := w.stored[account]
	if !ok {
		return credential.Secret{}, absent{}
	}
	return credential.NewSecret(text), nil
}

func refusal(call exchange.Call, kind exchange.Kind) error {
	return &exchange.Error{Call: call, Host: "w.example", Kind: kind, Status: 401, Code: "invalid_grant"}
}

func (w *ways) RefreshedToken(_ context.Context, refresh credential.Secret) (exchange.Grant, error) {
	n := w.note("refresh")
	if refresh.Reveal() != w.refresh {
		return exchange.Grant{}, refusal("refresh", exchange.KindRefreshRefused)
	}
	g := exchange.Grant{Token: aToken("bearer")}
	if w.rotates {
		w.refresh = fmt.Sprintf("refresh-%d", n)
		g.Refresh = credential.NewSecret(w.refresh)
	}
	return g, nil
}

func (w *ways) Me(_ context.Context, bearer credential.Secret) (exchange.Identity, error) {
	w.note("me")
	if bearer.Reveal() != "bearer" {
		return exchange.Identity{}, errors.New("not the bearer")
	}
	return exchange.Identity{UserName: w.me, ID: "1"}, nil
}

func (w *ways) FederatedToken(_ context.Context, id string, subject credential.Secret) (credential.Token, error) {
	w.note("federation")
	if id != client || subject.Reveal() != w.subject {
		return credential.Token{}, refusal("federation", exchange.KindFederationRefused)
	}
	return aToken("bearer"), nil
}

func (w *ways) Audience(d exchange.Discovery) (string, error) {
	return "audience of " + d.AccountID, nil
}

func (w *ways) Discover(context.Context) (exchange.Discovery, error) {
	w.note("discover")
	return w.doc, w.docErr
}

func (w *ways) SetEndpoints(exchange.Discovery) { w.adopted = true }

func (w *ways) Projects(context.Context, credential.Secret) ([]exchange.Project, error) {
	w.note("projects")
	var out []exchange.Project
	for name := range w.branches {
		out = append(out, exchange.Project{Name: name})
	}
	return out, nil
}

func (w *ways) Branches(_ context.Context, _ credential.Secret, project string) ([]exchange.Branch, error) {
	w.note("branches")
	return w.branches[project], nil
}

func (w *ways) Endpoints(_ context.Context, _ credential.Secret, branch string) ([]exchange.Endpoint, error) {
	w.note("endpoints")
	return w.endpoints[branch], nil
}

// broker is one run in this world.
func (w *ways) broker(c config.Config) *Broker {
	b := w.world.broker(c)
	b.Secrets, b.People, b.Federation, b.Discovery, b.Directory = w, w, w, w, w
	b.Accounts = func(context.Context) (list []string, err error) {
		for account := range w.stored {
			list = append(list, account)
		}
		return list, nil
	}
	b.Keep = func(_ context.Context, account string, s credential.Secret) error {
		if w.lost {
			return errors.New("no room")
		}
		w.note("keep")
		w.stored[account] = s.Reveal()
		return nil
	}
	b.WorkloadToken = func(_ context.Context, audience string) (credential.Secret, error) {
		w.note("workload:" + audience)
		return credential.NewSecret(w.subject), nil
	}
	b.DatabricksCLI = func(context.Context) (credential.Token, error) { w.note("cli"); return aToken("bearer"), nil }
	b.Tell = func(s Stage, text string) {
		if s == Warning {
			w.said = append(w.said, text)
		}
	}
	return b
}

// signedIn has a person's refresh token stored.
func (w *ways) signedIn(people ...string) *ways {
	for _, p := range people {
		w.stored[config.RefreshAccount("w.example", p)] = "refresh-0"
	}
	return w
}

// as resolves a configuration without the client id of the others.
func as(t *testing.T, more ...string) config.Config {
	t.Helper()
	return resolve(t, append([]string{"DATABRICKS_CLIENT_ID", "", "PGHOST", ownHost, "wait", "never"}, more...)...)
}

// expire leaves nothing of the cached tokens' life.
func (w *ways) expire(b *Broker, keys ...credential.Key) {
	for _, k := range keys {
		old := aToken("bearer")
		old.MintedAt, old.ExpiresAt = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		b.Cache.Save(context.Background(), k, tokencache.Entry{Token: old})
	}
}

// saved gets a token, and waits until it is stored.
func saved(t *testing.T, b *Broker) (Session, error) {
	t.Helper()
	s, err := b.Token(t.Context())
	if err == nil {
	}
	return s, err
}
