package supervisor

import (
	"fmt"
	"time"
)

// State is what the status file, the probes and the metrics show. Nothing in it is secret.
// In the status file, times are RFC 3339 in UTC and whole seconds; unknown ones are omitted.
type State struct {
	Version         string    `json:"version"`
	Mode            string    `json:"mode"` // passfile or proxy
	PID             int       `json:"pid"`
	ChildPID        int       `json:"child_pid"` // 0: there is none
	StartedAt       time.Time `json:"started_at,omitzero"`
	TokenExpiresAt  time.Time `json:"token_expires_at,omitzero"` // of the current token; zero: it does not expire
	Refreshes       int       `json:"refreshes"`                 // that succeeded
	FailedRefreshes int       `json:"failed_refreshes"`          // in minting or delivery
	LastError       string    `json:"last_error"`                // one safe line; empty if the last refresh succeeded
	OpenConnections int       `json:"open_connections"`
	WaitingLogins   int       `json:"waiting_logins"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"` // ended with an error, wrong passwords included
	Wakes           int       `json:"wakes"`         // of the compute, for which logins waited
	Restarts        int       `json:"restarts"`
	Goroutines      int       `json:"goroutines"` // of this process; set when the file is written, which it does not cause
	Ready           bool      `json:"ready"`      // as /readiness; set when the file is written
	UpdatedAt       time.Time `json:"updated_at"` // set when the file is written

	// Started: the first login succeeded, and the command, if there is one, runs.
	Started bool `json:"-"`
	// TokenMintedAt, WakeTime and the bytes are for the metrics only. WakeTime is how long
	// logins waited for the compute, all that waited at the same time counted as one.
	TokenMintedAt                  time.Time     `json:"-"`
	WakeTime                       time.Duration `json:"-"`
	BytesToDatabase, BytesToClient int64         `json:"-"`
	// Beat is the time of the last iteration of the refresher's loop, at least every 10 s;
	// zero before the first. It keeps the monotonic clock, so that sleep of the machine is
	// not mistaken for a hang.
	Beat time.Time `json:"-"`
}

// notReady returns why a new login would fail; empty if it would not.
func (s State) notReady(now time.Time) string {
	switch {
	case !s.Started:
		return "no login has succeeded yet"
	case !s.TokenExpiresAt.IsZero() && !now.Before(s.TokenExpiresAt):
		return "the token expired at " + s.TokenExpiresAt.UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	return ""
}

// maxBeatAge is how old the last heartbeat may be. There is one every 10 s.
const maxBeatAge = 30 * time.Second

// notAlive returns why the process is not alive; empty if it is, or before the first beat.
func (s State) notAlive(now time.Time) string {
	if age := now.Sub(s.Beat); age > maxBeatAge && !s.Beat.IsZero() {
		return fmt.Sprintf("no heartbeat for %d s", int(age.Seconds()))
	}
	return ""
}
