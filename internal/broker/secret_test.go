package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

func TestNoSecret(t *testing.T) {
	for _, kind := range []error{keychain.ErrNotFound, keychain.ErrLocked, keychain.ErrDismissed, keychain.ErrAbsent, keychain.ErrTimeout, keychain.ErrFailed} {
		w := newWorld()
		w.secretErr = &keychain.Error{Op: "get", Account: "a", Err: kind}
		_, err := w.ready(t, resolve(t))
		var e *NoSecretError
		if got := w.did(); !errors.As(err, &e) || e.Host != "w.example" || e.ClientID != client || !errors.Is(err, kind) || got != "keychain" {
			t.Errorf("%v: %v: %s", kind, err, got)
		}
	}
}

func TestNoSecretCarriesTheNotes(t *testing.T) {
	w := newWorld()
	w.secretErr = &keychain.Error{Err: keychain.ErrNotFound}
	_, err := w.ready(t, resolve(t, "DATABRICKS_CLIENT_SECRET", secretText, "host", "w.example", "DATABRICKS_HOST", "other.example"))
	var e *NoSecretError
	if !errors.As(err, &e) || len(e.Notes) != 1 || e.Notes[0].Name != "DATABRICKS_CLIENT_SECRET" || strings.Contains(err.Error(), secretText) {
		t.Errorf("%v, notes %v", err, e.Notes)
	}
}

func TestKeychainHasItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		b := w.broker(resolve(t, "keychain-timeout", "50ms"))
		b.Secrets = slow{}
		begun := time.Now()
		_, err := b.Ready(t.Context())
		var e *NoSecretError
		if took := time.Since(begun); !errors.As(err, &e) || took != 50*time.Millisecond {
			t.Errorf("%v after %s", err, took)
		}
	})
}

type slow struct{}

func (slow) Get(ctx context.Context, _ string) (credential.Secret, error) {
	<-ctx.Done()
	return credential.Secret{}, &keychain.Error{Op: "get", Err: keychain.ErrTimeout}
}

func TestGivenSecrets(t *testing.T) {
	w := newWorld()
	byEnv := resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-1")
	if _, err := w.ready(t, byEnv); err != nil || w.did() != "sign-in credential login:token-1" {
		t.Errorf("from the environment: %v", err)
	}
	if _, err := w.ready(t, byEnv); err != nil || w.did() != "" {
		t.Errorf("warm: %v", err)
	}
	// A token that another secret has minted does not serve.
	if s, err := w.ready(t, resolve(t, "PGHOST", ownHost, "DATABRICKS_CLIENT_SECRET", "env-secret-2")); err != nil || s.Cached {
		t.Errorf("another secret: %+v, %v", s, err)
	}
	w.did()
	if _, err := w.ready(t, resolve(t, "PGHOST", ownHost, "client-secret-file", "/run/secrets/x")); err != nil || w.did() != "file:/run/secrets/x sign-in credential login:token-3" {
		t.Errorf("from a file: %v", err)
	}
	b := w.broker(resolve(t, "client-secret-file", "/x"))
	boom := errors.New("boom")
	b.ReadSecretFile = func(string) (credential.Secret, error) { return credential.Secret{}, boom }
	_, err := b.Ready(t.Context())
	var e *SecretFileError
	if !errors.As(err, &e) || !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "--client-secret-file: ") {
		t.Error(err)
	}
}

// sealed is what a lakebase-exec around us leaves for the target of resolve(t).
func sealed(t *testing.T) *Inherited {
	t.Helper()
	in := &Inherited{Host: ownHost, User: client, Port: 5432, Token: credential.NewSecret("inherited"), ExpiresAt: time.Now().Add(30 * time.Minute)}
	conf := resolve(t)
	in.Seal = conf.Key().Seal(in.Token, in.Host, in.Port, in.User)
	return in
}

// forged makes a seal over a token and host of one's own, as everybody can.
func forged(t *testing.T, host string) func(*Inherited) {
	conf := resolve(t)
	return func(in *Inherited) {
		in.Host, in.Token = host, credential.NewSecret("forged")
		in.Seal = conf.Key().Seal(in.Token, in.Host, in.Port, in.User)
	}
}

func TestInheritedToken(t *testing.T) {
	const other, stranger = "projects/other/branches/b/endpoints/e", "evil.example"
	for _, c := range []struct {
		name    string
		change  func(*Inherited)
		options []string
		used    bool
	}{
		{"same target", nil, []string{"PGHOST", ownHost}, true},
		{"the host is not configured", nil, nil, true},
		{"same target by a profile", nil, []string{"profile", "prod"}, true},
		{"a host of one's own that an option names", forged(t, stranger), []string{"pghost", stranger}, true},
		{"another user", func(in *Inherited) { in.User = "x" }, []string{"PGHOST", ownHost}, false},
		{"another user on both sides", func(in *Inherited) { in.User = "x" }, []string{"PGHOST", ownHost, "user", "x"}, false},
		{"another port", func(in *Inherited) { in.Port = 1 }, []string{"PGHOST", ownHost}, false},
		{"another host", func(in *Inherited) { in.Host = stranger }, []string{"PGHOST", ownHost}, false},
		{"a stranger in PGHOST", func(in *Inherited) { in.Host = stranger }, []string{"PGHOST", stranger}, false},
		{"a stranger beside a profile", func(in *Inherited) { in.Host = stranger }, []string{"profile", "prod"}, false},
		{"a stranger's own token and seal", forged(t, stranger), nil, false},
		{"the same beside a profile", forged(t, stranger), []string{"profile", "prod"}, false},
		{"the same where PGHOST names it", forged(t, stranger), []string{"PGHOST", stranger}, false},
		{"loopback, where the workspace is not", forged(t, "127.0.0.1"), nil, false},
		{"another port is asked for", nil, []string{"PGHOST", ownHost, "pgport", "5433"}, false},
		{"another user is asked for", nil, []string{"PGHOST", ownHost, "user", "x"}, false},
		{"no seal", func(in *Inherited) { in.Seal = "" }, []string{"PGHOST", ownHost}, false},
		{"another token", func(in *Inherited) { in.Token = credential.NewSecret("x") }, []string{"PGHOST", ownHost}, false},
		{"no token", func(in *Inherited) { in.Token = credential.Secret{} }, []string{"PGHOST", ownHost}, false},
		{"expired", func(in *Inherited) { in.ExpiresAt = time.Now().Add(-time.Second) }, []string{"PGHOST", ownHost}, false},
		{"too little is left", func(in *Inherited) { in.ExpiresAt = time.Now().Add(10 * time.Minute) }, []string{"PGHOST", ownHost}, false},
		{"little is enough", func(in *Inherited) { in.ExpiresAt = time.Now().Add(10 * time.Minute) }, []string{"PGHOST", ownHost, "min-ttl", "5m"}, true},
		{"too long a life", func(in *Inherited) { in.ExpiresAt = time.Now().Add(2 * time.Hour) }, []string{"PGHOST", ownHost}, false},
		{"another endpoint", nil, []string{"profile", "prod", "endpoint", other}, false},
		{"another workspace", nil, []string{"profile", "prod", "host", "v.example"}, false},
		{"another client", nil, []string{"profile", "prod", "client-id", "x"}, false},
		{"another client of that user", nil, []string{"profile", "prod", "client-id", "x", "user", client}, false},
		{"another host by option", nil, []string{"profile", "prod", "pghost", "x.example"}, false},
	} {
		w := newWorld()
		w.secretErr = &keychain.Error{Err: keychain.ErrNotFound}
		b := w.broker(resolve(t, c.options...))
		b.Inherited = sealed(t)
		if c.change != nil {
			c.change(b.Inherited)
		}
		b.Secrets = anyAccount{w}
		s, err := b.Ready(t.Context())
		var none *NoSecretError
		switch got := w.did(); {
		case c.used && (err != nil || s.Token.Value != b.Inherited.Token || s.Target.Host != b.Inherited.Host || got != "keychain login:"+b.Inherited.Token.Reveal()):
			t.Errorf("%s: %+v, %v: %s", c.name, s, err, got)
		case !c.used && (!errors.As(err, &none) || got != "keychain"):
			t.Errorf("%s: %+v, %v: %s", c.name, s, err, got)
		}
		if len(w.items) != 0 {
			t.Errorf("%s: the inherited token is stored", c.name)
		}
	}
}

type anyAccount struct{ w *world }

func (a anyAccount) Get(context.Context, string) (credential.Secret, error) {
	a.w.note("keychain")
	return credential.Secret{}, a.w.secretErr
}

func TestInheritedTokenComesLast(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t, "PGHOST", ownHost))
	b.Inherited = sealed(t)
	if s, err := b.Ready(t.Context()); err != nil || s.Token.Value.Reveal() != "token-1" {
		t.Errorf("a secret is at hand, and yet: %+v, %v", s, err)
	}
	// One that the server refuses is not tried again, and nothing is minted.
	w = newWorld()
	w.secretErr = &keychain.Error{Err: keychain.ErrNotFound}
	w.login = func(context.Context, pglogin.Target, string) error { return tokenRefused() }
	b = w.broker(resolve(t, "PGHOST", ownHost))
	b.Inherited = sealed(t)
	_, err := b.Ready(t.Context())
	var e *pglogin.Error
	if got := w.did(); !errors.As(err, &e) || got != "keychain login:inherited" {
		t.Errorf("%v: %s", err, got)
	}
}

func TestStagesAreTold(t *testing.T) {
	w := newWorld()
	b := w.broker(resolve(t))
	var stages []Stage
	b.Tell = func(s Stage, text string) {
		if strings.Contains(text, "token-") || strings.Contains(text, secretText) {
			t.Errorf("a secret is told: %s", text)
		}
		if s != Note {
			stages = append(stages, s)
		}
	}
	if _, err := b.Ready(t.Context()); err != nil || len(stages) != 3 || stages[0] != AtKeychain || stages[1] != AtExchange || stages[2] != AtWake {
		t.Errorf("%v, %v", stages, err)
	}
}

// The token of a lakebase-exec around us does not stand in for one that the server
// has refused: it may be the same.
func TestARefusedTokenIsNotInherited(t *testing.T) {
	w := newWorld()
	w.secretErr = &keychain.Error{Err: keychain.ErrNotFound}
	b := w.broker(resolve(t, "PGHOST", ownHost))
	b.Inherited, b.Secrets = sealed(t), anyAccount{w}
	var none *NoSecretError
	if _, err := b.token(t.Context(), credential.NewSecret("refused")); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	if s, err := b.token(t.Context(), credential.Secret{}); err != nil || s.Token.Value.Reveal() != "inherited" {
		t.Errorf("%q, %v", s.Token.Value.Reveal(), err)
	}
}
