package refresh

import (
	"context"
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// What Mint may give that is no new token.
var (
	errNone    = errors.New("what was minted is no token")
	errSame    = errors.New("the token that was minted is the old one")
	errExpired = errors.New("the token that was minted has expired already")
)

// DeliveryError says that a new token is there, but OnToken failed.
type DeliveryError struct{ Err error }

func (e *DeliveryError) Error() string { return "delivering the new token: " + e.Err.Error() }

// Unwrap gives OnToken's error.
func (e *DeliveryError) Unwrap() error { return e.Err }

// result is a refresh that ended. With an error, token is one that waits for its
// delivery, or none.
type result struct {
	token  credential.Token
	minted bool
	err    error
}

// attempt mints a token, unless one is pending, and delivers it.
func (k *Keeper) attempt(ctx context.Context, old, pending credential.Token) result {
	res := result{token: pending}
	if pending.Value.IsZero() {
		t, err := k.mint(ctx, old)
		if err != nil {
			return result{err: err}
		}
		res = result{token: t, minted: true}
	}
	if k.OnToken == nil {
		return res
	}
	ctx, cancel := k.limited(ctx)
	defer cancel()
	err := ctx.Err()
	if err == nil {
		err = k.OnToken(ctx, res.token)
	}
	if err != nil {
		res.err = &DeliveryError{Err: err}
	}
	return res
}

func (k *Keeper) mint(ctx context.Context, old credential.Token) (credential.Token, error) {
	ctx, cancel := k.limited(ctx)
	defer cancel()
	t, err := k.Mint(ctx, old.Value)
	if err != nil {
		return credential.Token{}, err
	}
	now := k.now()
	h := hold(t, now, 0)
	switch {
	case t.Value.IsZero() || h.life <= 0:
		return credential.Token{}, errNone
	case t.Value.Equal(old.Value):
		return credential.Token{}, errSame
	case h.left(now) <= 0:
		return credential.Token{}, errExpired
	}
	return h.token, nil
}

func (k *Keeper) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := k.MintTimeout
	if limit <= 0 {
		limit = defaultTimeout
	}
	return context.WithTimeout(ctx, limit)
}
