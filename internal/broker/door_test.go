package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
)

// tokens gives these in turn; the last one again and again.
type tokens []string

func (t *tokens) Refresh(ctx context.Context, _ credential.Secret) (credential.Token, error) {
	return t.Token(ctx)
}

func (t *tokens) Token(context.Context) (credential.Token, error) {
	list := *t
	if len(list) == 0 {
		return credential.Token{}, errors.New("no token: dose")
	}
	if len(list) > 1 {
		*t = list[1:]
	}
	return credential.Token{Value: credential.NewSecret(list[0])}, nil
}

func explain(error) (string, string) { return "our words", "our hint" }

func TestDoorTellsWhatTheServerSaid(t *testing.T) {
	d := NewDoor(pglogin.Target{}, &tokens{}, explain)
	for _, c := range []struct {
		err                 error
		code, message, hint string
	}{
		{&pglogin.Error{Kind: pglogin.DatabaseMissing, Code: "3D000", Message: `database "x" does not exist`}, "3D000", `database "x" does not exist`, ""},
		{&pglogin.Error{Kind: pglogin.WakeTimeout}, "57P03", "our words", "our hint"},
		{&pglogin.Error{Kind: pglogin.Certificate, Message: "x509"}, "08001", "our words", "our hint"},
		{errors.New("the workspace is down"), "08001", "our words", "our hint"},
	} {
		var e *pgproxy.ServerError
		if err := d.serverError(c.err); !errors.As(err, &e) || e.Code != c.code || e.Message != c.message || e.Hint != c.hint {
			t.Errorf("%v: %+v", c.err, e)
		}
	}
	if err := d.serverError(&pglogin.Error{Kind: pglogin.Canceled}); errors.As(err, new(*pgproxy.ServerError)) {
		t.Error("a client that has gone is told something")
	}
	var e *pgproxy.ServerError
	if _, err := d.Login(t.Context(), map[string]string{"user": "u", "database": "d"}); !errors.As(err, &e) || e.Message != "our words" {
		t.Errorf("without a token: %v", err)
	}
}

// What a client asks for goes where it belongs, and the roots are looked at.
func TestDoorNeverLogsInUnverified(t *testing.T) {
	d := NewDoor(pglogin.Target{Host: "h.example", Port: 1, User: "u", SSLMode: pglogin.VerifyFull, SSLRootCert: "/nonexistent"}, &tokens{"a"}, explain)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	params := map[string]string{"user": "u", "database": "d", "application_name": "x"}
	var e *pgproxy.ServerError
	if _, err := d.Login(ctx, params); !errors.As(err, &e) || e.Code != unableToConnect {
		t.Errorf("%v", err)
	}
	if len(params) != 3 {
		t.Errorf("the client's parameters were changed: %v", params)
	}
	var bad *pglogin.Error
	if err := d.Cancel(ctx, 1, nil); !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}
