package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// propagation is how long a new secret may be refused before that counts: the
// token endpoint can be behind for some seconds
// (databricks/terraform-provider-databricks#3757).
const propagation = 30 * time.Second

// make asks for the new secret. That it is asked for is recorded before, its id
// at once after: a run that is killed in between leaves a stray, which the next
// one finds by what is new in the list.
func (r *Rotation) make(ctx context.Context) (exchange.ClientSecret, credential.Secret, error) {
	var none credential.Secret
	r.record.Making = &Making{Since: r.Now().UTC().Truncate(time.Second), Known: ids(r.list)}
	if err := r.save(ctx); err != nil {
		return exchange.ClientSecret{}, none, err
	}
	made, value, err := r.create(ctx)
	if err != nil {
		var e *exchange.Error
		if errors.As(err, &e) && e.Acted() {
			r.warn("whether a secret was made is not known; the next rotate looks for it")
			return made, none, err
		}
		r.record.Making = nil
		if err := r.save(ctx); err != nil {
			r.tell(Note, "the record could not be written: "+err.Error())
		}
		return made, none, err
	}
	next := &NextSecret{MadeSecret: MadeSecret{ID: made.ID, Fingerprint: r.fingerprint(value), CreatedAt: made.CreatedAt, ExpiresAt: made.ExpiresAt}}
	if c := r.record.Current; c != nil {
		next.Replaces = append(next.Replaces, r.dueBy(c.ID, c.Fingerprint))
	}
	if id := r.DeleteID; id != "" && slices.Contains(ids(r.list), id) && (r.record.Current == nil || r.record.Current.ID != id) {
		next.Replaces = append(next.Replaces, r.dueBy(id, ""))
	}
	r.record.Next, r.record.Making = next, nil
	if err := r.save(ctx); err != nil {
		r.discard(ctx, made.ID)
		return made, none, err
	}
	return made, value, nil
}

// create asks again only where the server said that it did nothing.
func (r *Rotation) create(ctx context.Context) (exchange.ClientSecret, credential.Secret, error) {
	ctx, cancel := r.limited(ctx)
	defer cancel()
	type made struct {
		info  exchange.ClientSecret
		value credential.Secret
	}
	m, err := retry.Do(ctx, retry.Exchange(), func(ctx context.Context) (made, error) {
		info, value, err := r.API.CreateClientSecret(ctx, r.bearer, r.principal, r.Lifetime)
		return made{info, value}, err
	}, func(err error) retry.Verdict {
		var e *exchange.Error
		if !errors.As(err, &e) || e.Acted() {
			return retry.Verdict{}
		}
		again, after := e.Worth()
		return retry.Verdict{Retry: again, After: after}
	})
	return m.info, m.value, err
}

// prove signs in with the new secret, which a token endpoint that is behind may
// refuse at first. What follows is done with its token.
func (r *Rotation) prove(ctx context.Context, value credential.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, min(propagation, r.Config.Timeout.V))
	defer cancel()
	r.tell(AtExchange, r.Config.Workspace.V.HostPort())
	token, err := retry.Do(ctx, retry.Exchange(), func(ctx context.Context) (credential.Token, error) {
		return r.Identity.WorkspaceToken(ctx, r.Config.ClientID.V, value)
	}, func(err error) retry.Verdict {
		var e *exchange.Error
		if !errors.As(err, &e) {
			return retry.Verdict{}
		}
		again, after := e.Worth()
		return retry.Verdict{Retry: again || e.Kind == exchange.KindInvalidClient, After: after}
	})
	if err != nil {
		return err
	}
	r.bearer = token.Value
	return nil
}

// store puts the new secret into the old one's place. A store that failed is
// looked at: it may hold the new one, the old one, or something else.
func (r *Rotation) store(ctx context.Context, value, old credential.Secret) error {
	err := r.Secrets.Set(ctx, value)
	if err == nil {
		return nil
	}
	has, readErr := r.Secrets.Get(ctx)
	switch {
	case readErr == nil && has.Equal(value):
		return nil
	case readErr == nil && has.Equal(old):
		r.warn("the new secret could not be stored; the old one stays, and the next rotate deletes the new one")
	case r.Secrets.Set(ctx, old) == nil:
		r.warn("the new secret could not be stored; the old one was put back, and the next rotate deletes the new one")
	default:
		r.warn("neither the new secret nor the old one could be stored: give the old one to login again")
	}
	return err
}

// discard deletes a new secret that serves for nothing. Where that fails, it
// stands in the record.
func (r *Rotation) discard(ctx context.Context, id string) {
	ctx, cancel := r.limited(context.WithoutCancel(ctx))
	defer cancel()
	if err := r.remove(ctx, id); err != nil {
		r.warn("the new secret " + id + " does not serve and could not be deleted; the next rotate tries it again")
		return
	}
	r.record.Next = nil
	if err := r.save(ctx); err != nil {
		r.tell(Note, "the record could not be written: "+err.Error())
	}
	r.warn("the new secret does not serve and was deleted again; the old one stays")
}

// deleteDue deletes what is due by now. An id is struck off once it is gone.
func (r *Rotation) deleteDue(ctx context.Context) error {
	limited, cancel := r.limited(ctx)
	defer cancel()
	now, gone := r.Now(), false
	for _, d := range slices.Clone(r.record.Due) {
		if d.After.After(now) || !r.record.notStored(d.ID, r.stored) {
			continue
		}
		if err := r.remove(limited, d.ID); err != nil {
			return err
		}
		r.list = slices.DeleteFunc(r.list, func(s exchange.ClientSecret) bool { return s.ID == d.ID })
		r.record, gone = r.record.without(d.ID), true
		r.tell(Note, "deleted the secret "+d.ID)
	}
	if !gone {
		return nil
	}
	return r.save(ctx)
}

func (r *Rotation) remove(ctx context.Context, id string) error {
	_, err := attempt(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.API.DeleteClientSecret(ctx, r.bearer, r.principal, id)
	})
	var e *exchange.Error
	if errors.As(err, &e) && e.Kind == exchange.KindSecretNotFound {
		return nil
	}
	return err
}
