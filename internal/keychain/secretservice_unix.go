//go:build unix && !darwin

package keychain

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// dismissed is the detail of ErrLocked after an attempt to unlock.
const dismissed = "its dialog was dismissed or could not be shown"

// BusAddress returns the address of the session bus: variable, which is the value of
// DBUS_SESSION_BUS_ADDRESS, or else the socket if that exists. "" means that there is none.
func BusAddress(variable, socket string) string {
	if variable != "" && variable != "autolaunch:" {
		return variable
	}
	if _, err := os.Stat(socket); err != nil {
		return ""
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(socket)
}

// Names of the Secret Service API (freedesktop.org, Secret Service 0.2).
const (
	collectionInterface = "org.freedesktop.Secret.Collection"
	itemInterface       = "org.freedesktop.Secret.Item"
	sessionInterface    = "org.freedesktop.Secret.Session"
	promptInterface     = "org.freedesktop.Secret.Prompt"
	serviceName         = "org.freedesktop.secrets"
	noPath              = dbus.ObjectPath("/")
	busError            = "org.freedesktop.DBus.Error." // the prefix of the D-Bus specification
)

// promptSlot is held while a dialog is shown: the process has one bus connection, on
// which each caller would take the first Completed signal for its own.
var promptSlot = make(chan struct{}, 1)

// secretService uses package secret_service of go-keyring instead of keyring.Get and
// Set, which always prompt and do not distinguish a locked, a dismissed and a missing
// collection. Its items are the same.
type secretService struct{ bus string }

func newBackend(bus string) backend { return secretService{bus} }

// collection is the collection "login" or else the default one, as in go-keyring, with
// its connection.
type collection struct {
	*ss.SecretService
	object dbus.BusObject
}

// open connects to the service. A locked collection, which may hide its items, is
// unlocked if prompt allows a dialog. Without a collection, which gnome-keyring creates at
// the first login or when the first item is stored, the error is ErrNotFound.
func (b secretService) open(ctx context.Context, prompt bool) (collection, error) {
	if b.bus == "" {
		return collection{}, fail(ErrAbsent, "no session bus: DBUS_SESSION_BUS_ADDRESS is not set")
	}
	svc, err := ss.NewSecretService()
	if err != nil {
		return collection{}, fail(ErrAbsent, "no session bus: "+err.Error())
	}
	// GetLoginCollection lists the collections. The first call must be a harmless one:
	// gnome-keyring 42 may process it before it has registered the client, and then fails
	// a search and crashes in OpenSession.
	c := collection{svc, svc.GetLoginCollection()}
	if prompt {
		return c, withPrompt(ctx, func() error { return c.unlock(prompt) })
	}
	return c, c.unlock(prompt)
}

func (c collection) unlock(prompt bool) error {
	locked, err := c.object.GetProperty(collectionInterface + ".Locked")
	switch {
	case err != nil && errors.Is(classify(err), ErrNotFound):
		return fail(ErrNotFound, "no login keyring yet")
	case err != nil:
		return err
	case !locked.Value().(bool):
		return nil
	case !prompt:
		return fail(ErrLocked, "")
	}
	return c.Unlock(c.object.Path())
}

func (b secretService) get(ctx context.Context, account string, prompt bool) (credential.Secret, error) {
	c, err := b.open(ctx, prompt)
	if err != nil {
		return credential.Secret{}, err
	}
	item, err := c.find(account)
	if err == nil && prompt { // KeePassXC locks each item
		err = withPrompt(ctx, func() error { return c.Unlock(item) })
	}
	if err != nil {
		return credential.Secret{}, err
	}
	session, err := c.OpenSession()
	if err != nil {
		return credential.Secret{}, err
	}
	defer c.end(session)
	secret, err := c.GetSecret(item, session.Path())
	if err != nil {
		return credential.Secret{}, err
	}
	return credential.NewSecret(string(secret.Value)), nil
}

func (b secretService) set(ctx context.Context, account string, secret credential.Secret, prompt bool) error {
	c, err := b.open(ctx, prompt)
	if errors.Is(err, ErrNotFound) { // creating a collection would ask the user for a new password
		return fail(ErrAbsent, "no login keyring to write to")
	}
	if err != nil {
		return err
	}
	session, err := c.OpenSession()
	if err != nil {
		return err
	}
	defer c.end(session)
	label := "Password for '" + account + "' on '" + Service + "'"
	value := ss.NewSecret(session.Path(), secret.Reveal())
	if prompt {
		return withPrompt(ctx, func() error { return c.CreateItem(c.object, label, attributes(account), value) })
	}
	return c.create(ctx, label, account, value)
}

// create stores the item as CreateItem does, but dismisses the dialog that a service
// requests.
func (c collection) create(ctx context.Context, label, account string, value ss.Secret) error {
	properties := map[string]dbus.Variant{
		itemInterface + ".Label":      dbus.MakeVariant(label),
		itemInterface + ".Attributes": dbus.MakeVariant(attributes(account)),
	}
	var item, asks dbus.ObjectPath
	err := c.object.CallWithContext(ctx, collectionInterface+".CreateItem", 0, properties, value, true).Store(&item, &asks)
	if err == nil && asks != noPath {
		c.Object(serviceName, asks).Go(promptInterface+".Dismiss", dbus.FlagNoReplyExpected, nil)
		err = fail(ErrLocked, "the keychain requires a confirmation")
	}
	return err
}

// remove searches again after deleting: go-keyring does not report that the user
// dismissed the dialog.
func (b secretService) remove(ctx context.Context, account string) error {
	c, err := b.open(ctx, true)
	if err != nil {
		return err
	}
	item, err := c.find(account)
	if err != nil {
		return err
	}
	if err := withPrompt(ctx, func() error { return c.Delete(item) }); err != nil {
		return err
	}
	if again, err := c.find(account); err == nil && again == item {
		return fail(ErrLocked, dismissed)
	}
	return nil
}

func (b secretService) list(ctx context.Context) (accounts []string, err error) {
	c, err := b.open(ctx, false)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	items, err := c.SearchItems(c.object, map[string]string{"service": Service})
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		v, err := c.Object(serviceName, item).GetProperty(itemInterface + ".Attributes")
		if err != nil {
			return nil, err
		}
		if account := v.Value().(map[string]string)["username"]; checkAccount(account) == nil {
			accounts = append(accounts, account)
		}
	}
	return accounts, nil
}

func (c collection) find(account string) (dbus.ObjectPath, error) {
	items, err := c.SearchItems(c.object, attributes(account))
	if err == nil && len(items) == 0 {
		err = fail(ErrNotFound, "")
	}
	if err != nil {
		return noPath, err
	}
	return items[0], nil
}

func attributes(account string) map[string]string {
	return map[string]string{"username": account, "service": Service}
}

// end closes a session without waiting for the reply.
func (c collection) end(session dbus.BusObject) {
	session.Go(sessionInterface+".Close", dbus.FlagNoReplyExpected, nil)
}

// withPrompt runs do, which may show a dialog, while no other call does.
func withPrompt(ctx context.Context, do func() error) error {
	select {
	case promptSlot <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-promptSlot }()
	if err := ctx.Err(); err != nil {
		return err // the caller no longer waits
	}
	return do()
}

// classify returns the *Error for an error of the libraries.
func classify(err error) error {
	var reply dbus.Error
	var op *net.OpError
	switch {
	case errors.As(err, &reply):
		return fail(kindOf(reply.Name), reply.Name+": "+reply.Error())
	case strings.HasPrefix(err.Error(), "failed to unlock correct collection"):
		return fail(ErrLocked, dismissed)
	case errors.Is(err, io.EOF), errors.Is(err, dbus.ErrClosed), errors.As(err, &op):
		return fail(ErrAbsent, "lost the connection to the session bus: "+err.Error())
	}
	return fail(ErrFailed, err.Error())
}

// kindOf returns the kind of an error name of D-Bus or the Secret Service API.
func kindOf(name string) error {
	switch name {
	case "org.freedesktop.Secret.Error.IsLocked":
		return ErrLocked
	case "org.freedesktop.Secret.Error.NoSuchObject", busError + "UnknownObject", busError + "UnknownMethod":
		return ErrNotFound // gnome-keyring returns UnknownMethod for a missing collection
	case busError + "ServiceUnknown", busError + "NameHasNoOwner", busError + "NoReply", busError + "Disconnected", busError + "AccessDenied":
		return ErrAbsent
	case busError + "Timeout", busError + "TimedOut":
		return ErrTimeout
	}
	if strings.HasPrefix(name, busError+"Spawn.") {
		return ErrAbsent
	}
	return ErrFailed
}
