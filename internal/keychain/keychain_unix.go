//go:build linux || freebsd || openbsd || netbsd || dragonfly

package keychain

import (
	"context"
	"errors"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Names of the Secret Service API (freedesktop.org, Secret Service 0.2).
const (
	collectionInterface = "org.freedesktop.Secret.Collection"
	itemInterface       = "org.freedesktop.Secret.Item"
	sessionInterface    = "org.freedesktop.Secret.Session"
	promptInterface     = "org.freedesktop.Secret.Prompt"
	serviceName         = "org.freedesktop.secrets"
	noPath              = dbus.ObjectPath("/")
)

// prompting lets one call at a time wait for a dialog: the bus connection is one
// for the whole process, and each waiter would take the first answer for its own.
var prompting = make(chan struct{}, 1)

// secretService uses go-keyring's secret_service and not its Get and Set, which
// unlock first and so prompt, and say the same of a locked, a dismissed and a
// missing collection. Items are the ones that go-keyring would make.
type secretService struct{ environ func(string) string }

func newBackend(environ func(string) string) backend { return &secretService{environ} }

// login is the connection and the collection that go-keyring uses: "login", else
// the default one.
type login struct {
	*ss.SecretService
	collection dbus.BusObject
}

func (b *secretService) open() (*login, error) {
	if !usable(b.environ(busVariable)) {
		return nil, fail(ErrAbsent, "no session bus: "+busVariable+" is not set")
	}
	svc, err := ss.NewSecretService()
	if err != nil {
		return nil, fail(ErrAbsent, "no session bus: "+err.Error())
	}
	// It asks which collections there are. Something harmless has to be asked
	// first: gnome-keyring 42 may take a client's first call before it knows the
	// client, and then fails a search and dies of OpenSession.
	return &login{svc, svc.GetLoginCollection()}, nil
}

func (b *secretService) get(ctx context.Context, account string, prompt bool) (credential.Secret, error) {
	l, err := b.open()
	if err != nil {
		return credential.Secret{}, err
	}
	secret, item, err := l.read(account)
	if !prompt || !errors.Is(err, ErrLocked) {
		return secret, err
	}
	if err := l.unlock(ctx, item); err != nil {
		return credential.Secret{}, err
	}
	secret, _, err = l.read(account)
	return secret, err
}

func (b *secretService) set(ctx context.Context, account string, secret credential.Secret, prompt bool) error {
	l, err := b.open()
	if err != nil {
		return err
	}
	err = l.create(ctx, account, secret, prompt)
	if !prompt || !errors.Is(err, ErrLocked) || errors.Is(err, ErrDismissed) {
		return err
	}
	if err := l.unlock(ctx, noPath); err != nil {
		return err
	}
	return l.create(ctx, account, secret, true)
}

// remove deletes and looks again: go-keyring does not say when a dialog that
// asks for leave to delete was dismissed.
func (b *secretService) remove(ctx context.Context, account string) error {
	l, err := b.open()
	if err != nil {
		return err
	}
	if locked, err := l.locked(); err != nil && !gone(err) {
		return classify(err)
	} else if locked {
		if err := l.unlock(ctx, noPath); err != nil {
			return err
		}
	}
	item, err := l.find(account)
	if err != nil {
		return err
	}
	if err := turn(ctx, func() error { return l.Delete(item) }); err != nil {
		return err
	}
	if again, err := l.find(account); err == nil && again == item {
		return fail(ErrDismissed, "the item was not deleted")
	}
	return nil
}

// read never prompts: by the API only Unlock and Prompt do, and GetSecret of a
// locked item is an error.
func (l *login) read(account string) (credential.Secret, dbus.ObjectPath, error) {
	item, err := l.find(account)
	if err != nil {
		return credential.Secret{}, noPath, err
	}
	session, err := l.OpenSession()
	if err != nil {
		return credential.Secret{}, item, classify(err)
	}
	defer l.end(session)
	secret, err := l.GetSecret(item, session.Path())
	if err != nil {
		return credential.Secret{}, item, classify(err)
	}
	return credential.NewSecret(string(secret.Value)), item, nil
}

// find returns the item of account. Whoever has no login collection has no item:
// gnome-keyring makes that collection at the first login or store.
func (l *login) find(account string) (dbus.ObjectPath, error) {
	items, err := l.SearchItems(l.collection, attributes(account))
	switch {
	case gone(err):
		return noPath, fail(ErrNotFound, "there is no login keyring yet")
	case err != nil:
		return noPath, classify(err)
	case len(items) > 0:
		return items[0], nil
	}
	// A locked collection need not show its items.
	locked, err := l.locked()
	switch {
	case err != nil:
		return noPath, classify(err)
	case locked:
		return noPath, fail(ErrLocked, "")
	}
	return noPath, fail(ErrNotFound, "")
}

func (l *login) locked() (bool, error) {
	v, err := l.collection.GetProperty(collectionInterface + ".Locked")
	if err != nil {
		return false, err
	}
	locked, ok := v.Value().(bool)
	if !ok {
		return false, fail(ErrFailed, "property Locked is no boolean")
	}
	return locked, nil
}

// unlock asks for the collection, and where that is open, for the item.
func (l *login) unlock(ctx context.Context, item dbus.ObjectPath) error {
	return turn(ctx, func() error {
		target := l.collection.Path()
		if locked, err := l.locked(); err == nil && !locked {
			if item == noPath {
				return nil // somebody else unlocked it while we waited for our turn
			}
			target = item
		}
		return l.Unlock(target)
	})
}

// create writes the item as go-keyring does. Without prompt, a service that wants
// to ask first is told no.
func (l *login) create(ctx context.Context, account string, secret credential.Secret, prompt bool) error {
	session, err := l.OpenSession()
	if err != nil {
		return classify(err)
	}
	defer l.end(session)
	label := "Password for '" + account + "' on '" + Service + "'"
	value := ss.NewSecret(session.Path(), secret.Reveal())
	if prompt {
		return turn(ctx, func() error {
			return noCollection(l.CreateItem(l.collection, label, attributes(account), value))
		})
	}
	properties := map[string]dbus.Variant{
		itemInterface + ".Label":      dbus.MakeVariant(label),
		itemInterface + ".Attributes": dbus.MakeVariant(attributes(account)),
	}
	var item, asks dbus.ObjectPath
	err = l.collection.CallWithContext(ctx, collectionInterface+".CreateItem", 0, properties, value, true).Store(&item, &asks)
	if err != nil {
		return classify(noCollection(err))
	}
	if asks != noPath {
		l.Object(serviceName, asks).Go(promptInterface+".Dismiss", dbus.FlagNoReplyExpected, nil)
		return fail(ErrLocked, "the keychain wants to ask first")
	}
	return nil
}

// end closes a session without waiting for the answer.
func (l *login) end(session dbus.BusObject) {
	session.Go(sessionInterface+".Close", dbus.FlagNoReplyExpected, nil)
}

func attributes(account string) map[string]string {
	return map[string]string{"username": account, "service": Service}
}

// turn runs do, which may show a dialog, when no other call does.
func turn(ctx context.Context, do func() error) error {
	select {
	case prompting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-prompting }()
	if err := ctx.Err(); err != nil {
		return err // given up meanwhile: no dialog for nobody
	}
	return classify(do())
}
