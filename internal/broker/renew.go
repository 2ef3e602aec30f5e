package broker

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

// Renew gets a token other than old with at least half of its life left, in
// mid-life of a supervisor: nobody is asked anything. The secret is looked up
// again, for it may have been rotated; where it cannot be had now, the one that
// worked last is used. Errors: those of Token.
func (b *Broker) Renew(ctx context.Context, old credential.Secret) (credential.Token, error) {
	b.quiet = true
	if err := b.decide(ctx); err != nil {
		return credential.Token{}, err
	}
	r, err := b.fetch(ctx, tokencache.Criteria{MinLife: credential.MaxLife, Refused: old, DatabaseHost: b.hostServes}, b.quietSecret)
	if err != nil {
		return credential.Token{}, err
	}
	return r.Entry.Token, nil
}

func (b *Broker) quietSecret(ctx context.Context) (credential.Secret, error) {
	s, err := b.lookUp(ctx)
	if err != nil && !b.proven.IsZero() {
		b.tell(Note, "using the secret that worked last: "+err.Error())
		return b.proven, nil
	}
	return s, err
}

func (b *Broker) lookUp(ctx context.Context) (credential.Secret, error) {
	b.given = nil // a file is read anew
	return b.secret(ctx)
}
