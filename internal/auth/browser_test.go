package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// If the server returns a new refresh token, it replaces the stored one.
func TestBrowser_RotatedRefreshToken(t *testing.T) {
	f := newFake().login(ada)
	account := config.RefreshAccount("w.example", ada)
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock get refresh" {
		t.Fatal(err)
	}
	f.rotates = true
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock get refresh replace" || f.stored[account] != f.refresh {
		t.Errorf("got %v: %q is stored, %q works", err, f.stored[account], f.refresh)
	}
	f.replaceErr = errors.New("no room")
	if _, err := token(t, f.chain(resolveUser(t))); err != nil || len(f.notes) != 1 || !strings.Contains(f.notes[0], "could not be stored") {
		t.Errorf("got %v, notes %q", err, f.notes)
	}
}

// racingSecrets are secrets in which another process replaces the refresh token
// after the first read.
type racingSecrets struct{ *fake }

func (s racingSecrets) Get(ctx context.Context, account string) (credential.Secret, error) {
	got, err := s.fake.Get(ctx, account)
	s.stored[account] = s.refresh
	return got, err
}

func TestBrowser_RefusedRefreshToken(t *testing.T) {
	f := newFake().login(ada)
	f.refresh = "another"
	var expired *LoginExpiredError
	if _, err := token(t, f.chain(resolveUser(t))); !errors.As(err, &expired) || expired.User != ada || f.took() != "lock get refresh get" {
		t.Errorf("got %v", err)
	}
	if _, err := token(t, NewChain(resolveUser(t), Deps{Workspace: f, Secrets: racingSecrets{f}, Process: f, Locks: f, Observer: f})); err != nil {
		t.Errorf("after a refresh by another process: got %v", err)
	}
}

func TestBrowser_SelectUser(t *testing.T) {
	const bob = "bob@example.com"
	for name, c := range map[string]struct {
		users  []string
		more   []string
		want   string // who signs in; empty: no one
		others int
	}{
		"one":                    {users: []string{ada}, want: ada},
		"one, and a role":        {users: []string{ada}, more: []string{"user", "analysts"}, want: ada},
		"two":                    {users: []string{ada, bob}, others: 2},
		"two, one named":         {users: []string{ada, bob}, more: []string{"user", bob}, want: bob},
		"two, and a role":        {users: []string{ada, bob}, more: []string{"user", "analysts"}, others: 2},
		"none":                   {},
		"by --auth":              {users: []string{ada}, more: []string{"auth", AuthBrowser}, want: ada},
		"none, and --user":       {more: []string{"user", ada}},
		"none at another host":   {users: []string{ada}, more: []string{"host", "x.example"}},
		"two, --auth and --user": {users: []string{ada, bob}, more: []string{"auth", AuthBrowser, "user", ada}, want: ada},
	} {
		f := newFake().login(c.users...)
		id, err := token(t, f.chain(resolveUser(t, c.more...)))
		var none *NoLoginError
		if c.want == "" && (!errors.As(err, &none) || len(none.Others) != c.others) || c.want != "" && (err != nil || id.Principal != c.want) {
			t.Errorf("%s: got %q, %v; want %q", name, id.Principal, err, c.want)
		}
	}
	f := newFake().login(ada)
	f.storedErr = errors.New("locked")
	if _, err := token(t, f.chain(resolveUser(t))); !errors.As(err, new(*NoLoginError)) || !errors.Is(err, f.storedErr) {
		t.Errorf("locked: got %v", err)
	}
}

func TestBrowser_RefreshAndCheck(t *testing.T) {
	f := newFake().login(ada)
	if err := refreshed(t, f.chain(resolveUser(t))); err != nil || f.took() != "lock read refresh" {
		t.Errorf("got %v", err)
	}
	err := f.chain(resolveUser(t)).Do(t.Context(), func(s Source, _ Identity) error {
		delete(f.stored, config.RefreshAccount("w.example", ada))
		return s.Check(t.Context())
	})
	if !errors.As(err, new(*NoLoginError)) {
		t.Errorf("got %v", err)
	}
}

func TestRefreshLock(t *testing.T) {
	seen := map[string]bool{}
	for _, account := range []string{config.RefreshAccount("w.example", ada), config.RefreshAccount("w.example", "bob@example.com"), config.RefreshAccount("x.example", ada)} {
		name := RefreshLock(account)
		if seen[name] || strings.Contains(name, "ada") {
			t.Errorf("got %q for %s", name, account)
		}
		seen[name] = true
	}
}
