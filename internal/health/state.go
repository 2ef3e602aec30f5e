package health

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// State is what there is to know of a supervisor. Nothing in it is secret. In
// JSON, times are RFC 3339 in UTC and whole seconds, and those that are not
// known are left out.
type State struct {
	Version         string    `json:"version"`
	Mode            string    `json:"mode"` // passfile or proxy
	PID             int       `json:"pid"`
	ChildPID        int       `json:"child_pid"` // 0: there is none
	StartedAt       time.Time `json:"started_at,omitzero"`
	TokenExpiresAt  time.Time `json:"token_expires_at,omitzero"` // of the present token; zero: there is none
	Refreshes       int       `json:"refreshes"`
	FailedRefreshes int       `json:"failed_refreshes"`
	LastError       string    `json:"last_error"` // one safe line; empty: all is well
	OpenConnections int       `json:"open_connections"`
	WaitingLogins   int       `json:"waiting_logins"`
	Logins          int       `json:"logins"`
	FailedLogins    int       `json:"failed_logins"`
	Wakes           int       `json:"wakes"` // logins that had to wait for a sleeping compute
	Restarts        int       `json:"restarts"`
	Goroutines      int       `json:"goroutines"` // of this process; set by File, and no reason to write
	Ready           bool      `json:"ready"`      // set by this package, as /readiness says
	UpdatedAt       time.Time `json:"updated_at"` // set by File

	// Started: the first login worked, and the child, where there is one, runs.
	Started bool `json:"-"`
	// Beat is the last heartbeat of the process's own loops; of several, the
	// oldest. Zero: none has begun.
	Beat time.Time `json:"-"`
}

// MarshalJSON gives the times their form.
func (s State) MarshalJSON() ([]byte, error) {
	type plain State // without this method
	p := plain(s)
	for _, t := range []*time.Time{&p.StartedAt, &p.TokenExpiresAt, &p.UpdatedAt} {
		*t = t.UTC().Truncate(time.Second)
	}
	return json.Marshal(p)
}

// unready says why a new login would not work; empty: it would.
func (s State) unready(now time.Time) string {
	switch {
	case !s.Started:
		return "no login has worked yet"
	case s.TokenExpiresAt.IsZero():
		return "there is no token"
	case !now.Before(s.TokenExpiresAt):
		return "the token expired at " + stamp(s.TokenExpiresAt)
	}
	return ""
}

// oldestBeat is how long a loop may be silent. They beat every 10 s.
const oldestBeat = 30 * time.Second

// dead says which sign of life is missing; empty: none. Before the start there
// are no loops, and every step of it has a limit of its own. serving is since
// when somebody could have asked.
func (s State) dead(serving, now time.Time) string {
	if !s.Started && s.Beat.IsZero() {
		return ""
	}
	last := s.Beat
	if last.IsZero() {
		last = serving
	}
	if silent := now.Sub(last); silent > oldestBeat {
		return fmt.Sprintf("no heartbeat for %d s", int(silent.Seconds()))
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// Pulse is the heartbeat of one loop. It keeps the monotonic clock, so that a
// sleep of the machine or a step of the clock is not taken for a death.
type Pulse struct{ last atomic.Pointer[time.Time] }

// Beat says that the loop still runs.
func (p *Pulse) Beat() {
	now := time.Now()
	p.last.Store(&now)
}

// Last is the last beat, for State.Beat; zero: there was none.
func (p *Pulse) Last() time.Time {
	if t := p.last.Load(); t != nil {
		return *t
	}
	return time.Time{}
}
