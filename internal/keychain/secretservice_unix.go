//go:build unix && !darwin

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// maxItem is the maximal size of an item in bytes; the Secret Service has no limit.
const maxItem = 64 << 10

// BusAddress returns the address of the session bus of user uid:
// DBUS_SESSION_BUS_ADDRESS unless it is empty or "autolaunch:", else the socket
// /run/user/UID/bus. If it is empty, there is no bus and no keychain.
//
// A program must set DBUS_SESSION_BUS_ADDRESS to the result, or unset it, before it uses
// a Keychain: without an address godbus executes dbus-launch from PATH and sets the
// variable.
func BusAddress(environ func(string) string, uid int) string {
	return busAddress(environ(busVariable), fmt.Sprintf("/run/user/%d/bus", uid))
}

func busAddress(address, socket string) string {
	if isBusAddress(address) {
		return address
	}
	if _, err := os.Stat(socket); err != nil {
		return ""
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(socket)
}

// isBusAddress reports whether godbus uses this address as it is.
func isBusAddress(address string) bool { return address != "" && address != "autolaunch:" }

// Names of the Secret Service API (freedesktop.org, Secret Service 0.2).
const (
	collectionInterface = "org.freedesktop.Secret.Collection"
	itemInterface       = "org.freedesktop.Secret.Item"
	sessionInterface    = "org.freedesktop.Secret.Session"
	promptInterface     = "org.freedesktop.Secret.Prompt"
	serviceName         = "org.freedesktop.secrets"
	noPath              = dbus.ObjectPath("/")
)

// promptSlot is held while a dialog is shown: the process has one bus connection, on
// which each caller would take the first Completed signal for its own.
var promptSlot = make(chan struct{}, 1)

// secretService uses package secret_service of go-keyring instead of keyring.Get and
// Set, which always prompt and do not distinguish a locked, a dismissed and a missing
// collection. Its items are the same.
type secretService struct{ environ func(string) string }

func newBackend(environ func(string) string) backend { return secretService{environ} }

// collection is the collection "login" or else the default one, as in go-keyring, with
// its connection.
type collection struct {
	*ss.SecretService
	object dbus.BusObject
}

func (b secretService) open() (collection, error) {
	if !isBusAddress(b.environ(busVariable)) {
		return collection{}, fail(ErrAbsent, "no session bus: "+busVariable+" is not set")
	}
	svc, err := ss.NewSecretService()
	if err != nil {
		return collection{}, fail(ErrAbsent, "no session bus: "+err.Error())
	}
	// GetLoginCollection lists the collections. The first call must be a harmless one:
	// gnome-keyring 42 may process it before it has registered the client, and then fails
	// a search and crashes in OpenSession.
	return collection{svc, svc.GetLoginCollection()}, nil
}

func (b secretService) get(ctx context.Context, account string, prompt bool) (credential.Secret, error) {
	c, err := b.open()
	if err != nil {
		return credential.Secret{}, err
	}
	secret, item, err := c.read(account)
	if prompt && errors.Is(err, ErrLocked) {
		if err := c.unlock(ctx, item); err != nil {
			return credential.Secret{}, err
		}
		secret, _, err = c.read(account)
	}
	return secret, err
}

func (b secretService) set(ctx context.Context, account string, secret credential.Secret, prompt bool) error {
	c, err := b.open()
	if err != nil {
		return err
	}
	session, err := c.OpenSession()
	if err != nil {
		return classify(err)
	}
	defer c.end(session)
	label := "Password for '" + account + "' on '" + Service + "'"
	value := ss.NewSecret(session.Path(), secret.Reveal())
	err = c.create(ctx, label, account, value)
	if !prompt || !errors.Is(err, ErrLocked) {
		return err
	}
	if err := c.unlock(ctx, noPath); err != nil {
		return err
	}
	return withPrompt(ctx, func() error { return c.CreateItem(c.object, label, attributes(account), value) })
}

// remove searches again after deleting: go-keyring does not report that the user
// dismissed the dialog.
func (b secretService) remove(ctx context.Context, account string) error {
	c, err := b.open()
	if err != nil {
		return err
	}
	if err := c.unlock(ctx, noPath); err != nil {
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
		return fail(ErrDismissed, "the item was not deleted")
	}
	return nil
}

func (b secretService) list() (accounts []string, err error) {
	c, err := b.open()
	if err != nil {
		return nil, err
	}
	items, err := c.search(map[string]string{"service": Service}, true)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, item := range items {
		v, err := c.Object(serviceName, item).GetProperty(itemInterface + ".Attributes")
		switch {
		case isNoObject(err): // deleted meanwhile
		case err != nil:
			return nil, classify(err)
		default:
			if account := v.Value().(map[string]string)["username"]; checkAccount(account) == nil {
				accounts = append(accounts, account)
			}
		}
	}
	return accounts, nil
}

// read never prompts: only Unlock and Prompt do, and GetSecret of a locked item is an
// error.
func (c collection) read(account string) (credential.Secret, dbus.ObjectPath, error) {
	item, err := c.find(account)
	if err != nil {
		return credential.Secret{}, noPath, err
	}
	session, err := c.OpenSession()
	if err != nil {
		return credential.Secret{}, item, classify(err)
	}
	defer c.end(session)
	secret, err := c.GetSecret(item, session.Path())
	if err != nil {
		return credential.Secret{}, item, classify(err)
	}
	return credential.NewSecret(string(secret.Value)), item, nil
}

func (c collection) find(account string) (dbus.ObjectPath, error) {
	items, err := c.search(attributes(account), false)
	if err != nil {
		return noPath, err
	}
	return items[0], nil
}

// search returns at least one item, or ErrNotFound, also without a login collection, which
// gnome-keyring creates at the first login or when the first item is stored. A locked
// collection may hide its items: where that matters, it returns ErrLocked.
func (c collection) search(attributes map[string]string, all bool) ([]dbus.ObjectPath, error) {
	items, err := c.SearchItems(c.object, attributes)
	locked := false
	if err == nil && (all || len(items) == 0) {
		locked, err = c.locked()
	}
	switch {
	case isNoObject(err):
		return nil, fail(ErrNotFound, "no login keyring yet")
	case err != nil:
		return nil, classify(err)
	case locked:
		return nil, fail(ErrLocked, "")
	case len(items) == 0:
		return nil, fail(ErrNotFound, "")
	}
	return items, nil
}

func (c collection) locked() (bool, error) {
	v, err := c.object.GetProperty(collectionInterface + ".Locked")
	if err != nil {
		return false, err
	}
	return v.Value().(bool), nil
}

// unlock unlocks the collection, or the item if the collection is not locked.
func (c collection) unlock(ctx context.Context, item dbus.ObjectPath) error {
	return withPrompt(ctx, func() error {
		target := c.object.Path()
		switch locked, err := c.locked(); {
		case isNoObject(err), err == nil && !locked && item == noPath: // another call has unlocked it meanwhile
			return nil
		case err != nil:
			return err
		case !locked:
			target = item
		}
		return c.Unlock(target)
	})
}

// create stores the item as go-keyring does, but dismisses the dialog that a service
// requests.
func (c collection) create(ctx context.Context, label, account string, value ss.Secret) error {
	properties := map[string]dbus.Variant{
		itemInterface + ".Label":      dbus.MakeVariant(label),
		itemInterface + ".Attributes": dbus.MakeVariant(attributes(account)),
	}
	var item, asks dbus.ObjectPath
	err := c.object.CallWithContext(ctx, collectionInterface+".CreateItem", 0, properties, value, true).Store(&item, &asks)
	switch {
	case isNoObject(err): // creating a collection would ask the user for a new password
		return fail(ErrAbsent, "no login keyring to write to")
	case err != nil:
		return classify(err)
	case asks != noPath:
		c.Object(serviceName, asks).Go(promptInterface+".Dismiss", dbus.FlagNoReplyExpected, nil)
		return fail(ErrLocked, "the keychain requires a confirmation")
	}
	return nil
}

// end closes a session without waiting for the reply.
func (c collection) end(session dbus.BusObject) {
	session.Go(sessionInterface+".Close", dbus.FlagNoReplyExpected, nil)
}

func attributes(account string) map[string]string {
	return map[string]string{"username": account, "service": Service}
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
	return classify(do())
}

// busError is the prefix of the error names of the D-Bus specification.
const busError = "org.freedesktop.DBus.Error."

// isNoObject reports whether the object of a call does not exist. gnome-keyring returns
// UnknownMethod for a missing collection.
func isNoObject(err error) bool {
	var reply dbus.Error
	if !errors.As(err, &reply) {
		return false
	}
	switch reply.Name {
	case "org.freedesktop.Secret.Error.NoSuchObject", busError + "UnknownObject", busError + "UnknownMethod":
		return true
	}
	return false
}

// classify maps an error of the libraries to an Error.
func classify(err error) error {
	var own *Error
	var reply dbus.Error
	var op *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &reply):
		return fail(kindOf(reply.Name), reply.Name+": "+reply.Error())
	case strings.HasPrefix(err.Error(), "failed to unlock correct collection"):
		return fail(ErrDismissed, "")
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
	case "org.freedesktop.Secret.Error.NoSuchObject":
		return ErrNotFound
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
