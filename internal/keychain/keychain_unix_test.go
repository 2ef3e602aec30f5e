//go:build linux || freebsd || openbsd || netbsd || dragonfly

package keychain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
		{fmt.Errorf("failed to unlock correct collection '%v'", "/x"), ErrDismissed},
		{io.EOF, ErrAbsent},
		{dbus.ErrClosed, ErrAbsent},
		{context.Canceled, context.Canceled},
		{fail(ErrTooBig, ""), ErrTooBig},
		{errors.New("dbus.Store: length mismatch"), ErrFailed},
		{nil, nil},
	} {
		got := classify(c.err)
		if !errors.Is(got, c.want) || errors.Is(got, ErrDismissed) != (c.want == ErrDismissed) {
			t.Errorf("classify(%v): got %v, want %v", c.err, got, c.want)
		}
	}
}

func TestBusAddress(t *testing.T) {
	none, socket, file, invalid, fifo := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(socket, "bus"):           "",
		filepath.Join(file, "dbus-session"):    "DBUS_SESSION_BUS_ADDRESS=unix:abstract=/tmp/dbus-x\n",
		filepath.Join(invalid, "dbus-session"): "DBUS_SESSION_BUS_ADDRESS=autolaunch:\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(fifo, "dbus-session"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := "unix:path=" + dbus.EscapeBusAddressValue(filepath.Join(socket, "bus"))
	for _, c := range []struct {
		name, variable, dir, want string
		ok                        bool
	}{
		{"variable", "unix:path=/x", none, "unix:path=/x", true},
		{"variable before socket", "unix:path=/x", socket, "unix:path=/x", true},
		{"no bus", "", none, "", false},
		{"autolaunch", "autolaunch:", none, "", false},
		{"socket", "", socket, path, true},
		{"socket before autolaunch", "autolaunch:", socket, path, true},
		{"file", "", file, "unix:abstract=/tmp/dbus-x", true},
		{"autolaunch in file", "", invalid, "", false},
		{"a FIFO does not block", "", fifo, "", false},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, ok := busAddress(func(string) string { return c.variable }, c.dir)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("%s: got %q, %v; want %q, %v", c.name, got, ok, c.want, c.ok)
			}
		}()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: busAddress blocks", c.name)
		}
	}
}

func FuzzParseBusFile(f *testing.F) {
	f.Add("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/x\n")
	f.Add("DBUS_SESSION_BUS_ADDRESS=")
	f.Add("# nothing")
	f.Fuzz(func(t *testing.T, text string) {
		a := parseBusFile(text)
		if a != "" && !strings.HasPrefix(text, "DBUS_SESSION_BUS_ADDRESS="+a) || strings.HasSuffix(a, "\n") {
			t.Errorf("parseBusFile(%q): got %q", text, a)
		}
	})
}
