package pglogin

import (
	"context"
	"testing"
	"time"
)

// answers are what servers say; final ones must cost one login, others more.
var answers = []struct {
	code, message string
	kind          Kind
	retry         bool
	newToken      bool
}{
	{"XX000", "password authentication failed for user 'x'", Refused, false, true},
	{"28P01", `password authentication failed for user "x"`, Refused, false, true},
	{"28000", `no pg_hba.conf entry for host "10.0.0.1"`, Refused, false, false},
	{"08P01", "SASL authentication failed", Refused, false, false},
	{"XX000", "JWT token has expired (exp=1)", TokenInvalid, false, true},
	{"28000", "Invalid authorization: token expired", TokenInvalid, false, true},
	{"XX000", "Provided authentication token is not a valid JWT encoding", TokenInvalid, false, true},
	{"28P01", `Failed to decode token for role "x" and native postgres login was either not attempted due to configuration or failed.`, TokenInvalid, false, true},
	{"28000", `role "x" does not exist`, RoleMissing, false, false},
	{"3D000", `database "x" does not exist`, DatabaseMissing, false, false},
	{"42501", `permission denied for database "x"`, ConnectDenied, false, false},
	{"XX000", "Control plane request failed: endpoint is disabled", EndpointDisabled, false, false},
	{"XX000", "Console request failed: endpoint cannot be found", EndpointNotFound, false, false},
	{"XX000", "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support", SNIMissing, false, false},
	{"XX000", "This IP address 192.0.2.1 is not allowed to connect to this endpoint.", NotAllowed, false, false},
	{"0A000", "unsupported startup parameter", Other, false, false},
	{"XX000", "Couldn't connect to compute node", Starting, true, false},
	{"XX000", "Control plane request failed", Starting, true, false},
	{"57P03", "the database system is starting up", Starting, true, false},
	{"57P01", "terminating connection due to administrator command", Starting, true, false},
	{"57014", "canceling authentication due to timeout", Starting, true, false},
	{"08006", "connection failure", Unreachable, true, false},
	{"53300", "sorry, too many clients already", TooManyConnections, true, false},
	{"XX000", "Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.", TooManyConnections, true, false},
	{"XX000", "Too many connections attempts", TooManyConnections, true, false},
	{"XX000", "Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or contact our support.", Unavailable, true, false},
	{"XX000", "External authorization failed", ExternalAuth, true, false},
	{"XX000", "something new", Other, true, false},
	{"", "no code at all", Other, true, false},
	{"58030", "could not read file", Other, true, false},
}

func TestAnswers(t *testing.T) {
	for _, a := range answers {
		t.Run(a.code+" "+a.message[:min(24, len(a.message))], func(t *testing.T) {
			f := newFake(t, func(_ int, s *session) { refuse(s, "ERROR", a.code, a.message) })
			ctx, cancel := context.WithCancel(within(t, guard))
			defer cancel()
			var last *Error
			w := &Waker{Beside: guard, Progress: func(s Status) {
				if s.Attempts == 2 && s.Open == 0 {
					last = s.Last
					cancel()
				}
			}}
			err := w.Wait(ctx, f.target(), secret)
			kind := a.kind
			if a.retry {
				kind = Cancelled // by us, after the second try
			}
			e := wantKind(t, err, kind)
			if a.retry {
				e = last
			}
			if e == nil || e.Kind != a.kind || e.Retry != a.retry || e.TokenRefused() != a.newToken || e.Message != a.message {
				t.Fatalf("got %#v", e)
			}
			want := 1
			if a.retry {
				want = 2
			}
			if n := len(f.seen()); n != want {
				t.Errorf("%d logins, want %d", n, want)
			}
		})
	}
}

func TestPatienceIsLimitedForTheUnknown(t *testing.T) {
	for _, a := range answers {
		want := time.Duration(0)
		switch {
		case a.kind == Other && a.retry:
			want = unknownFor
		case a.kind == ExternalAuth:
			want = externalAuthFor
		}
		if e := serverSays(a.code, a.message); e.patience != want {
			t.Errorf("%s %s: patience %v, want %v", a.code, a.message, e.patience, want)
		}
	}
}
