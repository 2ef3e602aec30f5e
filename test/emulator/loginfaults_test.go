package emulator

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Each login fault happens once, at its stage, and the login after it is well.
func TestLoginFaults(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	for _, stage := range Stages() {
		for _, deed := range append(Deeds(), "") {
			t.Run(string(stage)+" "+string(deed), func(t *testing.T) { loginFault(t, l, stage, deed) })
		}
	}
}

func loginFault(t *testing.T, l *Lakebase, stage Stage, deed Deed) {
	l.ResetCounters()
	l.Set(func(s *Settings) {
		s.LoginFaults = []LoginFault{{At: stage, Deed: deed, Code: "53300", Message: "sorry, too many clients already"}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	if deed == DeedQuiet || deed == DeedFlood { // pgconn hears notices for as long as they come
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second) // the way to the stage is part of it
	}
	defer cancel()
	c, err := connect(ctx, l, l.ClientID, mint(t, l, TokenSpec{}), l.Database)
	if err == nil {
		closeNow(c)
		t.Fatal("the login came through")
	}
	var said *pgconn.PgError
	plain := stage == StageAccept || stage == StageRequest || stage == StageHandshake
	switch {
	case deed == DeedQuiet && !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("quiet: %v", err)
	case deed == DeedReset && !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("reset: %v", err)
	case deed == DeedClose && errors.Is(err, syscall.ECONNRESET):
		t.Errorf("close: %v", err)
	case deed == "" && !plain && (!errors.As(err, &said) || said.Code != "53300" || said.Message != "sorry, too many clients already"):
		t.Errorf("refused: %v", err)
	}
	if c, err = connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database); err != nil {
		t.Fatalf("the login after it: %v", err)
	}
	closeNow(c)
	want := string(deed) + " at " + string(stage)
	if deed == "" {
		want = "sorry, too many clients already"
	}
	if logins := l.Logins(); len(logins) != 2 || logins[0].Result != want && logins[1].Result != want {
		t.Errorf("recorded %+v, want %q among them", logins, want)
	}
}

// What a fault sends comes as it is, and the fault lasts for as many logins as
// it describes.
func TestLoginFaultSends(t *testing.T) {
	t.Parallel()
	l := begin(t, Options{})
	l.Set(func(s *Settings) {
		s.LoginFaults = []LoginFault{{At: StageRequest, Times: 2, Deed: DeedClose, Send: "HTTP/1.1 400 Bad Request\r\n\r\n"}}
	})
	for range 2 {
		if _, err := connect(t.Context(), l, l.ClientID, mint(t, l, TokenSpec{}), l.Database); err == nil || !strings.Contains(err.Error(), "refused TLS") {
			t.Errorf("%v", err)
		}
	}
	mustConnect(t, l)
}

// A reply that is compressed without having been asked for says so.
func TestFaultGzipAndPad(t *testing.T) {
	t.Parallel()
	l, c := apiOnly(t)
	l.Set(func(s *Settings) { s.Faults = []Fault{{Call: CallToken, Gzip: 2, Pad: 3}} })
	a, err := askToken(t, c, l, l.ClientID, l.ClientSecret)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%v %+v", err, a)
	}
	// Go's client undoes what it thinks that it asked for, once.
	z, err := gzip.NewReader(strings.NewReader(a.text))
	if err != nil {
		t.Fatalf("%v: %q", err, a.text)
	}
	text, err := io.ReadAll(z)
	if err != nil || !strings.HasPrefix(string(text), "{") || !strings.HasSuffix(string(text), "}   ") {
		t.Errorf("%v: %q", err, text)
	}
}
