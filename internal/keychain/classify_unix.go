//go:build linux || freebsd || openbsd || netbsd || dragonfly

package keychain

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/godbus/dbus/v5"
)

// busError begins the error names of the D-Bus specification.
const busError = "org.freedesktop.DBus.Error."

// noCollection says of a write what a missing collection means: nothing here can
// make one without asking for a new password.
func noCollection(err error) error {
	if gone(err) {
		return fail(ErrAbsent, "there is no login keyring to write to")
	}
	return err
}

// gone says that the object of the call does not exist: gnome-keyring answers
// UnknownMethod for a collection that is not there, others an error of their own.
func gone(err error) bool {
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

// classify turns an error of the libraries into an Error. The names are those of
// the D-Bus specification and of the Secret Service API.
func classify(err error) error {
	var own *Error
	var reply dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &reply):
		return fail(kindOf(reply.Name), reply.Name+": "+reply.Error())
	case strings.HasPrefix(err.Error(), "failed to unlock correct collection"):
		return fail(ErrDismissed, "")
	case lostConnection(err):
		return fail(ErrAbsent, "the session bus went away: "+err.Error())
	}
	return fail(ErrFailed, err.Error())
}

// kindOf gives the kind of a D-Bus error name.
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

// lostConnection says that the bus, not the service, is what failed.
func lostConnection(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, dbus.ErrClosed) || errors.As(err, &op)
}
