//go:build unix && !darwin

package keychain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestClassify(t *testing.T) {
	reply := func(name string) error { return dbus.Error{Name: name, Body: []any{"words"}} }
	for _, c := range []struct{ err, want error }{
		{reply("org.freedesktop.Secret.Error.IsLocked"), ErrLocked},
		{reply("org.freedesktop.Secret.Error.NoSuchObject"), ErrNotFound},
		{reply("org.freedesktop.DBus.Error.ServiceUnknown"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.NoReply"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.Spawn.ExecFailed"), ErrAbsent},
		{reply("org.freedesktop.DBus.Error.TimedOut"), ErrTimeout},
		{reply("org.freedesktop.DBus.Error.InvalidArgs"), ErrFailed},
		{fmt.Errorf("failed to unlock correct collection '%v'", "/x"), ErrLocked},
		{io.EOF, ErrAbsent},
		{dbus.ErrClosed, ErrAbsent},
		{errors.New("dbus.Store: length mismatch"), ErrFailed},
	} {
		if got := classify(c.err); !errors.Is(got, c.want) {
			t.Errorf("classify(%v): got %v, want %v", c.err, got, c.want)
		}
	}
}

func TestBusAddress(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := "unix:path=" + dbus.EscapeBusAddressValue(socket)
	for _, c := range []struct {
		variable, socket, want string
	}{
		{"unix:path=/x", socket, "unix:path=/x"},
		{"", "/none", ""},
		{"autolaunch:", "/none", ""},
		{"", socket, path},
		{"autolaunch:", socket, path},
	} {
		if got := BusAddress(c.variable, c.socket); got != c.want {
			t.Errorf("%q, %s: got %q, want %q", c.variable, c.socket, got, c.want)
		}
	}
}
