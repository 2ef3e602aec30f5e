package supervisor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// running is the state of a supervisor without problems.
func running() State {
	return State{
		Version: "1.2.3", Mode: "proxy", PID: 7, ChildPID: 8, StartedAt: time.Now().Add(-time.Hour),
		TokenExpiresAt: time.Now().Add(time.Hour), Started: true, Beat: time.Now(),
	}
}

func TestState_JSON(t *testing.T) {
	at := seconds(time.Date(2026, 3, 1, 13, 30, 15, 999_999_999, time.FixedZone("", 3600)))
	s := State{
		Version: "1.2.3", Mode: "passfile", PID: 1, ChildPID: 2, StartedAt: at, TokenExpiresAt: at.Add(time.Hour),
		Refreshes: 3, FailedRefreshes: 4, LastError: "no", OpenConnections: 5, WaitingLogins: 6, Logins: 7, FailedLogins: 8,
		Wakes: 9, Restarts: 10, Goroutines: 11, Ready: true, UpdatedAt: at, Started: true, Beat: at,
	}
	const want = `{"version":"1.2.3","mode":"passfile","pid":1,"child_pid":2,"started_at":"2026-03-01T12:30:15Z",` +
		`"token_expires_at":"2026-03-01T13:30:15Z","refreshes":3,"failed_refreshes":4,"last_error":"no","open_connections":5,` +
		`"waiting_logins":6,"logins":7,"failed_logins":8,"wakes":9,"restarts":10,"goroutines":11,"ready":true,` +
		`"updated_at":"2026-03-01T12:30:15Z"}`
	got, err := json.Marshal(s)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	got, err = json.Marshal(&State{})
	if text := string(got); err != nil || strings.Contains(text, "token_expires_at") || strings.Contains(text, "started_at") {
		t.Errorf("got %s, %v; want no times that are unknown", got, err)
	}
}

func TestState_NotAlive(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		beat time.Time
		want string
	}{
		{ago(30 * time.Second), ""},
		{ago(31 * time.Second), "no heartbeat for 31 s"},
		{time.Time{}, ""}, // nothing runs yet
	} {
		if got := (State{Beat: c.beat}).notAlive(now); got != c.want {
			t.Errorf("%v: got %q, want %q", c.beat, got, c.want)
		}
	}
}
