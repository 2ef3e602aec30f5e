// Package rotate replaces a service principal's stored secret. At every moment the
// store holds a secret that works: the old one is deleted only after the new one has
// signed in and was stored. The State, stored with the secret, records what an
// interrupted rotation left for the next one.
package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Store holds the service principal's secret and the State, by account.
type Store interface {
	Get(ctx context.Context, account string) (credential.Secret, error)
	Set(ctx context.Context, account string, item credential.Secret) error // verifies what it wrote
}

// API makes one attempt at each call; *exchange.Client implements it.
type API interface {
	WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error)
	Me(ctx context.Context, bearer credential.Secret) (exchange.Identity, error)
	ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]exchange.ClientSecret, error)
	CreateClientSecret(ctx context.Context, bearer credential.Secret, principal string, lifetime time.Duration) (
		exchange.ClientSecret, credential.Secret, error)
	DeleteClientSecret(ctx context.Context, bearer credential.Secret, principal, id string) error
}

// Rotation replaces one stored secret. All fields down to Now are required. The
// caller must keep two rotations of the same secret from running at once.
type Rotation struct {
	Store    Store
	API      API
	Observer auth.Observer
	Now      func() time.Time

	Host       string // the workspace
	ClientID   string
	Timeout    time.Duration // of each step's requests
	Lifetime   time.Duration // of the new secret; 0: the server's default
	KeepOld    time.Duration // how long the old secret stays
	DeleteID   string        // a secret to delete although no rotation created it; may be empty
	DeleteOnly bool          // create no secret; delete what is scheduled, and DeleteID

	// Manager is the workspace token of another identity, which manages the secrets of
	// Principal, the service principal's numeric ID. Zero: the service principal itself
	// does, with the stored secret. With a Manager no secret needs to be stored.
	Manager   credential.Secret
	Principal string
}

// Result is the outcome of Run, as far as it came.
type Result struct {
	New        exchange.ClientSecret   // zero if none was stored
	Unknown    []exchange.ClientSecret // those that no rotation created; all of them with KindTooManySecrets
	Orphans    []string                // the IDs of Unknown that appeared while an interrupted rotation requested one
	OldUnknown bool                    // the replaced secret is one of Unknown
}

// run is a Rotation at work.
type run struct {
	Rotation
	state     State
	stored    string // the fingerprint of the stored secret
	principal string
	bearer    credential.Secret
	list      []exchange.ClientSecret
}

// Run rotates the secret. Errors: *auth.NoSecretError, *config.Error for DeleteID, the
// store's own, *exchange.Error (inside a *retry.Error after several attempts).
func (r Rotation) Run(ctx context.Context) (Result, error) {
	x := &run{Rotation: r}
	old, err := x.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	if r.DeleteOnly || len(x.list) >= exchange.MaxSecrets {
		if err := x.freeSlots(ctx); err != nil || r.DeleteOnly {
			return x.result(), err
		}
	}
	if len(x.list) >= exchange.MaxSecrets {
		return Result{Unknown: x.list, Orphans: x.state.Orphans}, &exchange.Error{Call: exchange.CallCreateSecret, Host: r.Host,
			Kind: exchange.KindTooManySecrets, Message: fmt.Sprintf("client %s has %d", r.ClientID, len(x.list)), NotSent: true}
	}
	oldUnknown := !old.IsZero() && x.state.Current == nil && r.DeleteID == ""
	created, secret, err := x.create(ctx)
	if err != nil {
		return x.result(), err
	}
	if err := x.verify(ctx, secret); err != nil {
		x.discard(ctx, created.ID)
		return x.result(), err
	}
	if err := x.store(ctx, secret, old); err != nil {
		return x.result(), err
	}
	x.list = append(x.list, created)
	x.stored = fingerprint(r.Host, r.ClientID, secret)
	x.state = x.state.reconcile(x.stored, secretIDs(x.list))
	if err = x.save(ctx); err != nil {
		r.Observer.Warn("the new secret is stored and works, but this could not be recorded; the next rotate continues from here")
	} else if err = x.deleteScheduled(ctx); err != nil {
		r.Observer.Warn("the new secret is stored and works, but the old one could not be deleted; the next rotate tries again")
	}
	result := x.result()
	result.New, result.OldUnknown = created, oldUnknown
	return result, err
}

func (x *run) result() Result {
	return Result{Unknown: x.state.unknown(x.list), Orphans: x.state.Orphans}
}

// begin signs in with the stored secret, which it returns, and lists the principal's secrets.
func (x *run) begin(ctx context.Context) (credential.Secret, error) {
	x.Observer.Stage(auth.StageKeychain, "")
	old, err := StoredSecret(ctx, x.Store, x.Host, x.ClientID)
	if err != nil && (x.Manager.IsZero() || !errors.Is(err, fs.ErrNotExist)) {
		return old, err
	}
	if x.state, err = load(ctx, x.Store, x.Host, x.ClientID); err != nil {
		return old, err
	}
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	if x.bearer, x.principal = x.Manager, x.Principal; x.Manager.IsZero() {
		if err := x.signIn(ctx, old, retry.VerdictOf); err != nil {
			return old, err
		}
		me, err := exchange.Retry(ctx, func(ctx context.Context) (exchange.Identity, error) { return x.API.Me(ctx, x.bearer) })
		if err != nil {
			return old, err
		}
		x.principal = me.ID
	}
	x.list, err = exchange.RetryCall(ctx, x.API.ClientSecrets, x.bearer, x.principal)
	if err != nil {
		return old, err
	}
	x.stored = fingerprint(x.Host, x.ClientID, old)
	x.state = x.state.reconcile(x.stored, secretIDs(x.list))
	return old, x.checkDeleteID()
}

// signIn signs in with a secret. Later requests use its token, unless there is a Manager.
func (x *run) signIn(ctx context.Context, secret credential.Secret, judge func(error) retry.Verdict) error {
	x.Observer.Stage(auth.StageExchange, x.Host)
	token, err := retry.Do(ctx, retry.Exchange(), func(ctx context.Context) (credential.Token, error) {
		return x.API.WorkspaceToken(ctx, x.ClientID, secret)
	}, judge)
	if err == nil && x.Manager.IsZero() {
		x.bearer = token.Value
	}
	return err
}

func (x *run) checkDeleteID() error {
	switch id := x.DeleteID; {
	case id == "":
	case !slices.Contains(secretIDs(x.list), id):
		return &config.Error{Name: "--delete-id", Problem: "this service principal has no secret " + sanitize.Quote(id),
			Fix: "leave --delete-id out to see the IDs of its secrets"}
	case x.DeleteOnly && !x.state.safeToDelete(id, x.stored):
		return &config.Error{Name: "--delete-id", Problem: "this may be the stored secret",
			Fix: "leave out --delete-only, so that a new one is stored first"}
	}
	return nil
}

// freeSlots deletes what is scheduled, and DeleteID if that is certainly not the stored secret.
func (x *run) freeSlots(ctx context.Context) error {
	if id := x.DeleteID; id != "" && x.state.safeToDelete(id, x.stored) && !x.state.isScheduled(id) {
		x.state.Scheduled = append(x.state.Scheduled, x.schedule(id, ""))
	}
	if err := x.save(ctx); err != nil {
		return err
	}
	return x.deleteScheduled(ctx)
}

// schedule returns a deletion after KeepOld.
func (x *run) schedule(id, fingerprint string) Scheduled {
	d := Scheduled{ID: id, Fingerprint: fingerprint}
	if x.KeepOld > 0 {
		d.After = x.Now().Add(x.KeepOld).UTC().Truncate(time.Second)
	}
	return d
}

func (x *run) save(ctx context.Context) error {
	x.state.Version = stateVersion
	text, err := json.Marshal(x.state)
	if err != nil {
		return err
	}
	return x.Store.Set(ctx, config.RecordAccount(x.Host, x.ClientID), credential.NewSecret(string(text)))
}

// create requests the new secret. The state records the request beforehand and the
// ID right after the response: a rotation that is killed in between leaves an
// orphan, which the next one finds as an ID that is new in the list.
func (x *run) create(ctx context.Context) (exchange.ClientSecret, credential.Secret, error) {
	x.state.Pending = &Pending{Since: x.Now().UTC().Truncate(time.Second), Known: secretIDs(x.list)}
	if err := x.save(ctx); err != nil {
		return exchange.ClientSecret{}, credential.Secret{}, err
	}
	created, secret, err := x.request(ctx)
	if err != nil {
		if exchange.MayHaveApplied(err) {
			x.Observer.Warn("the response was lost, so a secret may have been created; the next rotate looks for it")
		} else {
			x.state.Pending = nil
			_ = x.save(ctx) // the next rotation finds the same in the list of secrets
		}
		return created, secret, err
	}
	next := &Next{Secret: Secret{ID: created.ID, Fingerprint: fingerprint(x.Host, x.ClientID, secret),
		CreatedAt: created.CreatedAt, ExpiresAt: created.ExpiresAt}}
	if c := x.state.Current; c != nil {
		next.Supersedes = append(next.Supersedes, x.schedule(c.ID, c.Fingerprint))
	}
	if id := x.DeleteID; id != "" && slices.Contains(secretIDs(x.list), id) && !x.state.isCurrent(id) {
		next.Supersedes = append(next.Supersedes, x.schedule(id, ""))
	}
	x.state.Next, x.state.Pending = next, nil
	if err = x.save(ctx); err != nil {
		x.discard(ctx, created.ID)
	}
	return created, secret, err
}

// request calls CreateClientSecret.
func (x *run) request(ctx context.Context) (info exchange.ClientSecret, secret credential.Secret, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	secret, err = exchange.Retry(ctx, func(ctx context.Context) (s credential.Secret, err error) {
		info, s, err = x.API.CreateClientSecret(ctx, x.bearer, x.principal, x.Lifetime)
		return s, err
	})
	return info, secret, err
}

// propagation is how long the token endpoint may refuse a new secret
// (databricks/terraform-provider-databricks#3757).
const propagation = 30 * time.Second

// verify signs in with the new secret.
func (x *run) verify(ctx context.Context, secret credential.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, min(propagation, x.Timeout))
	defer cancel()
	return x.signIn(ctx, secret, func(err error) retry.Verdict {
		v := retry.VerdictOf(err)
		v.Retry = v.Retry || exchange.IsKind(err, exchange.KindInvalidClient)
		return v
	})
}

// store replaces the old secret in the store. After a failed write the store may
// hold the new secret, the old one, or something else.
func (x *run) store(ctx context.Context, secret, old credential.Secret) error {
	account := config.SecretAccount(x.Host, x.ClientID)
	err := x.Store.Set(ctx, account, secret)
	if err == nil {
		return nil
	}
	switch stored, readErr := x.Store.Get(ctx, account); {
	case readErr == nil && stored.Equal(secret):
		return nil
	case old.IsZero():
		x.Observer.Warn("the new secret could not be stored; the next run deletes it")
	case readErr == nil && stored.Equal(old), x.Store.Set(ctx, account, old) == nil:
		x.Observer.Warn("the new secret could not be stored; the old one stays, and the next rotate deletes the new one")
	default:
		x.Observer.Warn("neither the new secret nor the old one could be stored: store the old one again with login")
	}
	return err
}

// discard deletes a new secret that does not work. If that fails, the state lists it.
func (x *run) discard(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.Timeout)
	defer cancel()
	if x.delete(ctx, id) != nil {
		x.Observer.Warn("the new secret " + id + " does not work and could not be deleted; the next rotate tries again")
		return
	}
	x.state.Next = nil
	_ = x.save(ctx) // the next rotation finds the same in the list of secrets
	text := "the new secret does not work and was deleted"
	if x.Manager.IsZero() {
		text += "; the old one stays"
	}
	x.Observer.Warn(text)
}

// deleteScheduled deletes the secrets whose time has come, but none that may be the stored one.
func (x *run) deleteScheduled(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	now, before := x.Now(), len(x.list)
	for _, d := range x.state.Scheduled {
		if d.After.After(now) || !x.state.safeToDelete(d.ID, x.stored) {
			continue
		}
		if err := x.delete(limited, d.ID); err != nil {
			return err
		}
		x.list = slices.DeleteFunc(x.list, func(s exchange.ClientSecret) bool { return s.ID == d.ID })
		x.Observer.Note("deleted the secret " + d.ID)
	}
	if len(x.list) == before {
		return nil
	}
	x.state = x.state.reconcile(x.stored, secretIDs(x.list))
	return x.save(ctx)
}

// delete deletes a secret; one that does not exist is no error.
func (x *run) delete(ctx context.Context, id string) error {
	_, err := exchange.Retry(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, x.API.DeleteClientSecret(ctx, x.bearer, x.principal, id)
	})
	if exchange.IsKind(err, exchange.KindSecretNotFound) {
		return nil
	}
	return err
}
