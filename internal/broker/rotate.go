package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// SecretStore is where the target's secret stands. Set reads back what it wrote.
type SecretStore interface {
	Get(ctx context.Context) (credential.Secret, error)
	Set(ctx context.Context, secret credential.Secret) error
}

// Ledger keeps the Record beside the secret. None is an empty Record.
type Ledger interface {
	Load(ctx context.Context) (Record, error)
	Save(ctx context.Context, r Record) error
}

// Identity tells who a secret belongs to.
type Identity interface {
	WorkspaceToken(ctx context.Context, clientID string, secret credential.Secret) (credential.Token, error)
	Principal(ctx context.Context, bearer credential.Secret) (string, error)
}

// SecretsAPI makes one attempt at each call about a service principal's secrets.
type SecretsAPI interface {
	ClientSecrets(ctx context.Context, bearer credential.Secret, principal string) ([]exchange.ClientSecret, error)
	CreateClientSecret(ctx context.Context, bearer credential.Secret, principal string, lifetime time.Duration) (exchange.ClientSecret, credential.Secret, error)
	DeleteClientSecret(ctx context.Context, bearer credential.Secret, principal, id string) error
}

// Rotation replaces a stored secret by a new one. At every moment the store
// holds a secret that works: the old one is deleted only after the new one has
// signed in and was stored, and what a killed run leaves is told by the Record.
// Two runs at once must be kept apart by the caller.
type Rotation struct {
	Config   config.Config
	Secrets  SecretStore
	Ledger   Ledger
	Identity Identity
	API      SecretsAPI
	Now      func() time.Time
	Tell     func(s Stage, text string) // may be nil
	Warn     func(text string)          // what has to be known beside an error; may be nil

	Lifetime   time.Duration // of the new secret; 0: the server's default
	KeepOld    time.Duration // how long the old one stays
	DeleteID   string        // a secret to delete that was not made here; may be empty
	DeleteOnly bool          // make none: delete what is due, and DeleteID

	record    Record
	stored    string // the fingerprint of what is stored
	principal string
	bearer    credential.Secret
	list      []exchange.ClientSecret
}

// Rotated is what came of it, as far as it came.
type Rotated struct {
	New        exchange.ClientSecret // zero with DeleteOnly
	Deleted    []string
	Due        []DueSecret             // to be deleted later
	Others     []exchange.ClientSecret // not made here
	Strays     []string                // of these, those that came up while an interrupted run made one
	OldUnknown bool                    // the replaced secret is one of Others
}

// FullError says that there is no room for one more secret. Nothing was made.
type FullError struct {
	Host, ClientID string
	Secrets        []exchange.ClientSecret
}

func (e *FullError) Error() string {
	return fmt.Sprintf("client %s has %d secrets at %s, and can have no more than %d", e.ClientID, len(e.Secrets), e.Host, exchange.MaxSecrets)
}

// Run rotates. Errors: *FullError, *config.Error for an id that is none,
// *NoSecretError, the store's own, *exchange.Error (inside a *retry.Error).
func (r *Rotation) Run(ctx context.Context) (Rotated, error) {
	old, err := r.begin(ctx)
	if err != nil {
		return Rotated{}, err
	}
	if r.DeleteOnly || len(r.list) >= exchange.MaxSecrets {
		if err := r.makeRoom(ctx); err != nil || r.DeleteOnly {
			return r.told(exchange.ClientSecret{}, false), err
		}
	}
	if len(r.list) >= exchange.MaxSecrets {
		return r.told(exchange.ClientSecret{}, false), &FullError{Host: r.Config.Workspace.V.HostPort(), ClientID: r.Config.ClientID.V, Secrets: r.list}
	}
	unknown := r.record.Current == nil && r.DeleteID == ""
	made, value, err := r.make(ctx)
	if err != nil {
		return r.told(exchange.ClientSecret{}, false), err
	}
	if err := r.prove(ctx, value); err != nil {
		r.discard(ctx, made.ID)
		return r.told(exchange.ClientSecret{}, false), err
	}
	if err := r.store(ctx, value, old); err != nil {
		return r.told(exchange.ClientSecret{}, false), err
	}
	r.list = append(r.list, made)
	r.stored = r.fingerprint(value)
	r.record = r.record.settled(r.stored, ids(r.list))
	if err := r.save(ctx); err != nil {
		r.warn("the new secret is stored and works, but that could not be recorded; the next rotate takes it up")
		return r.told(made, unknown), err
	}
	err = r.deleteDue(ctx)
	if err != nil {
		r.warn("the new secret is stored and works; what it replaces could not be deleted, and the next rotate tries it again")
	}
	return r.told(made, unknown), err
}

// begin signs in with the stored secret, and finds out what there is.
func (r *Rotation) begin(ctx context.Context) (credential.Secret, error) {
	r.tell(AtKeychain, "")
	old, err := r.Secrets.Get(ctx)
	if err != nil {
		return old, &NoSecretError{Host: r.Config.Workspace.V.HostPort(), ClientID: r.Config.ClientID.V, Err: err}
	}
	if r.record, err = r.Ledger.Load(ctx); err != nil {
		return old, err
	}
	ctx, cancel := r.limited(ctx)
	defer cancel()
	r.tell(AtExchange, r.Config.Workspace.V.HostPort())
	token, err := attempt(ctx, func(ctx context.Context) (credential.Token, error) {
		return r.Identity.WorkspaceToken(ctx, r.Config.ClientID.V, old)
	})
	if err != nil {
		return old, err
	}
	r.bearer = token.Value
	if r.principal, err = attempt(ctx, func(ctx context.Context) (string, error) { return r.Identity.Principal(ctx, r.bearer) }); err != nil {
		return old, err
	}
	if r.list, err = attempt(ctx, func(ctx context.Context) ([]exchange.ClientSecret, error) {
		return r.API.ClientSecrets(ctx, r.bearer, r.principal)
	}); err != nil {
		return old, err
	}
	r.stored = r.fingerprint(old)
	r.record = r.record.settled(r.stored, ids(r.list))
	return old, r.checkDeleteID()
}

func (r *Rotation) checkDeleteID() error {
	switch id := r.DeleteID; {
	case id == "":
		return nil
	case !slices.Contains(ids(r.list), id):
		return &config.Error{Name: "--delete-id", Problem: "this service principal has no secret " + sanitize.Quote(id)}
	case r.DeleteOnly && !r.record.notStored(id, r.stored):
		return &config.Error{Name: "--delete-id", Problem: "that may be the stored secret itself", Fix: "leave out --delete-only: then a new one is stored first"}
	}
	return nil
}

// makeRoom deletes what is due, and DeleteID, but only what is certainly not
// the stored secret.
func (r *Rotation) makeRoom(ctx context.Context) error {
	if id := r.DeleteID; id != "" && r.record.notStored(id, r.stored) && !r.record.due(id) {
		r.record.Due = append(r.record.Due, r.dueBy(id, ""))
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.deleteDue(ctx)
}

// dueBy makes an entry of what the new secret replaces.
func (r *Rotation) dueBy(id, fingerprint string) DueSecret {
	d := DueSecret{ID: id, Fingerprint: fingerprint}
	if r.KeepOld > 0 {
		d.After = r.Now().Add(r.KeepOld).UTC().Truncate(time.Second)
	}
	return d
}

// told is what there is now.
func (r *Rotation) told(made exchange.ClientSecret, unknown bool) Rotated {
	out := Rotated{New: made, Due: r.record.Due, Others: r.record.others(r.list), Strays: r.record.Strays, OldUnknown: unknown}
	return out
}

func (r *Rotation) save(ctx context.Context) error {
	r.record.Version = RecordVersion
	return r.Ledger.Save(ctx, r.record)
}

func (r *Rotation) fingerprint(s credential.Secret) string {
	return SecretFingerprint(r.Config.Workspace.V.HostPort(), r.Config.ClientID.V, s)
}

// limited gives the calls of one step --timeout.
func (r *Rotation) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.Config.Timeout.V)
}

func (r *Rotation) tell(s Stage, text string) {
	if r.Tell != nil {
		r.Tell(s, text)
	}
}

func (r *Rotation) warn(text string) {
	if r.Warn != nil {
		r.Warn(text)
	}
}
