package pgproxy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// tokenList supplies these tokens in turn, and the last one repeatedly.
type tokenList []string

func (l *tokenList) Token(context.Context) (credential.Token, error) {
	list := *l
	if len(list) == 0 {
		return credential.Token{}, errors.New("no token")
	}
	if len(list) > 1 {
		*l = list[1:]
	}
	return credential.Token{Value: credential.NewSecret(list[0])}, nil
}

func (l *tokenList) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return l.Token(ctx)
}

func describe(error) (message, hint string) { return "our message", "our hint" }

func TestLogin_ServerErrors(t *testing.T) {
	p := New(Options{Tokens: &tokenList{}, Describe: describe})
	for _, c := range []struct {
		err                 error
		code, message, hint string
	}{
		{&pglogin.Error{Kind: pglogin.DatabaseMissing, Code: "3D000", Message: "does not exist"}, "3D000", "does not exist", ""},
		{&pglogin.Error{Kind: pglogin.WakeTimeout}, "57P03", "our message", "our hint"},
		{&pglogin.Error{Kind: pglogin.Certificate, Message: "x509"}, "08001", "our message", "our hint"},
		{errors.New("the workspace is down"), "08001", "our message", "our hint"},
	} {
		var e *ServerError
		if err := p.serverError(c.err); !errors.As(err, &e) || e.Code != c.code || e.Message != c.message || e.Hint != c.hint {
			t.Errorf("%v: got %+v", c.err, e)
		}
	}
	if err := p.serverError(&pglogin.Error{Kind: pglogin.Canceled}); errors.As(err, new(*ServerError)) {
		t.Errorf("a client that has gone: got %v", err)
	}
	var e *ServerError
	if _, err := p.login(t.Context(), map[string]string{"user": "u", "database": "d"}); !errors.As(err, &e) || e.Message != "our message" {
		t.Errorf("without a token: got %v", err)
	}
}

// fakeConnector accepts one password and records all.
type fakeConnector struct {
	right     string
	passwords []string
	target    pglogin.Target
	params    map[string]string
}

func (f *fakeConnector) Connect(_ context.Context, t pglogin.Target, s credential.Secret, p map[string]string) (*pglogin.Conn, error) {
	f.passwords, f.target, f.params = append(f.passwords, s.Reveal()), t, p
	if s.Reveal() != f.right {
		return nil, &pglogin.Error{Kind: pglogin.Refused, Code: "28P01", Message: "password authentication failed"}
	}
	return &pglogin.Conn{}, nil
}

func (f *fakeConnector) Cancel(context.Context, pglogin.Target, uint32, []byte) error { return nil }

// A token that the server refuses is replaced once, and only by another one.
func TestLogin_ReplacesARefusedToken(t *testing.T) {
	for _, c := range []struct {
		tokens, sent []string
		ok           bool
	}{
		{[]string{"old", "new"}, []string{"old", "new"}, true},
		{[]string{"old", "older", "new"}, []string{"old", "older"}, false},
		{[]string{"old"}, []string{"old"}, false},
		{[]string{"new"}, []string{"new"}, true},
	} {
		list, fake := tokenList(c.tokens), &fakeConnector{right: "new"}
		p := New(Options{Target: pglogin.Target{Host: "h"}, Tokens: &list, Describe: describe})
		p.connector = fake
		params := map[string]string{"user": "u", "database": "d", "application_name": "x"}
		_, err := p.login(t.Context(), params)
		told := err == nil || strings.Contains(err.Error(), "password authentication failed")
		if (err == nil) != c.ok || !slices.Equal(fake.passwords, c.sent) || !told {
			t.Errorf("%q: got %v, sent %q; want %q", c.tokens, err, fake.passwords, c.sent)
		}
		rest := map[string]string{"application_name": "x"}
		if len(params) != 3 || fake.target != (pglogin.Target{Host: "h", Database: "d"}) || !maps.Equal(fake.params, rest) {
			t.Errorf("got target %+v, parameters %v; the client's are %v", fake.target, fake.params, params)
		}
	}
}

// Logins that wait at the same time wait for one wake, and one that answers meanwhile
// shows that the compute is not suspended.
func TestWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wakes
		for i, c := range []struct {
			waited []bool // of logins that begin a second apart and end, the last one first, at the same time
			wakes  int64
			total  time.Duration
		}{
			{[]bool{true, true, true}, 1, 3 * time.Second},
			{[]bool{false}, 1, 3 * time.Second},
			{[]bool{true}, 2, 4 * time.Second},
			{[]bool{true, false}, 2, 4 * time.Second},
		} {
			var begins []time.Time
			for range c.waited {
				begins = append(begins, time.Now())
				time.Sleep(time.Second)
			}
			for n := range c.waited {
				last := len(begins) - 1 - n
				w.add(begins[last], c.waited[last])
			}
			if w.n != c.wakes || w.time != c.total {
				t.Errorf("case %d: got %d wakes of %v, want %d of %v", i, w.n, w.time, c.wakes, c.total)
			}
		}
	})
}
