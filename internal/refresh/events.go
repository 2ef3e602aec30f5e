package refresh

import (
	"errors"
	"time"
)

// Kind says what an Event tells.
type Kind int

// The kinds. An outage has at most one of each, in this order.
const (
	Failing   Kind = iota + 1 // a warning: new logins work until ExpiresAt
	Expired                   // a warning: ExpiresAt is over, new logins fail
	Recovered                 // a note: a new token is there, good until ExpiresAt
)

// Event is one thing that people should hear of.
type Event struct {
	Kind      Kind
	ExpiresAt time.Time // of the present token, in UTC
	// Refused: the server has refused the present token, so that logins may fail
	// before ExpiresAt.
	Refused bool
	Err     error // as Mint or OnToken gave it; nil when recovered
}

// errSlow stands for the failure of a refresh that has not ended.
var errSlow = errors.New("the new token has not come yet")

// tellOfOutage follows a refresh that ended. Expired is for watch to tell.
func (r *run) tellOfOutage(now moment) {
	switch {
	case r.err == nil && r.told != 0:
		r.tell(Recovered, nil)
		r.told = 0
	case r.err != nil && r.told == 0 && r.held().left(now) > 0:
		r.tell(Failing, r.err)
	}
}

// watch tells of a token that expired. After a sleep of the machine the refresh
// gets its chance first, so that no morning begins with a warning.
func (r *run) watch(now moment) {
	h := r.held()
	late := r.cancel != nil && now.mono.Sub(r.begun.mono) >= h.floor()
	if r.told == Expired || h.left(now) > 0 || !r.failing && !late {
		return
	}
	err := r.err
	if !r.failing {
		err = errSlow
	}
	r.tell(Expired, err)
}

func (r *run) tell(kind Kind, err error) {
	r.told = kind
	if r.Event == nil {
		return
	}
	r.mu.Lock()
	e := Event{Kind: kind, ExpiresAt: r.present.token.ExpiresAt, Refused: r.refused, Err: err}
	r.mu.Unlock()
	r.Event(e)
}
