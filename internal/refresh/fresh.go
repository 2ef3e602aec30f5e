package refresh

import (
	"context"
	"fmt"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Fresh gives a token for a new login: the present one if at least 5 s or a tenth
// of its life are left, whichever is less, and it is not refused, which is a token
// that the server said is invalid (zero: none). Otherwise it waits for the refresh
// that runs, or asks for one; any number of callers share it, and while refreshes
// fail one is made per second at the most. If the refresh fails or ctx ends first,
// the present token is given as long as it lives; so it is, at once, if it is
// refused though a refusal has brought it less than 10 s (or a tenth of its life)
// ago: another would fare no better. Whoever gets the very token that was refused
// should not try again.
//
// Before Run has begun, Fresh waits for it. Errors: what Mint said or ctx's, when
// no token lives; ErrStopped after Run.
func (k *Keeper) Fresh(ctx context.Context, refused credential.Secret) (credential.Token, error) {
	k.init()
	select {
	case <-k.began:
	case <-k.over:
		return credential.Token{}, ErrStopped
	case <-ctx.Done():
		return credential.Token{}, noToken(ctx.Err())
	}
	t, wait, err := k.ask(refused)
	if wait == nil {
		return t, err
	}
	select {
	case <-wait.done:
		err = wait.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	return k.give(err)
}

// ask gives the present token, or what to wait for.
func (k *Keeper) ask(refused credential.Secret) (credential.Token, *round, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped() {
		return credential.Token{}, nil, ErrStopped
	}
	now, h := k.now(), k.present
	known := !refused.IsZero() && refused.Equal(h.token.Value)
	switch {
	case h.good(now) && (!known || now.since(k.calm) < h.floor()):
		return h.token, nil, nil
	case known && h.good(now): // one that is over says nothing about the next
		k.refused = true
	}
	k.asked = true
	if k.round == nil {
		k.round = &round{done: make(chan struct{})}
	}
	select {
	case k.kick <- struct{}{}:
	default: // Run has not taken the last one yet
	}
	return credential.Token{}, k.round, nil
}

// give ends a wait that ended with err.
func (k *Keeper) give(err error) (credential.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.stopped():
		return credential.Token{}, ErrStopped
	case k.present.left(k.now()) > 0:
		return k.present.token, nil
	case err == nil:
		err = errExpired
	}
	return credential.Token{}, noToken(err)
}

func (k *Keeper) stopped() bool {
	select {
	case <-k.over:
		return true
	default:
		return false
	}
}

func noToken(err error) error { return fmt.Errorf("no fresh token: %w", err) }
