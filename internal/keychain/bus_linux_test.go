package keychain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestBusAddress(t *testing.T) {
	none, socket, file, junk := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(socket, "bus"):        "",
		filepath.Join(file, "dbus-session"): "DBUS_SESSION_BUS_ADDRESS=unix:abstract=/tmp/dbus-x\n",
		filepath.Join(junk, "dbus-session"): "DBUS_SESSION_BUS_ADDRESS=autolaunch:\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := "unix:path=" + dbus.EscapeBusAddressValue(filepath.Join(socket, "bus"))
	for _, c := range []struct {
		name, variable, dir, want string
		ok                        bool
	}{
		{"the variable", "unix:path=/x", none, "unix:path=/x", true},
		{"the variable comes first", "unix:path=/x", socket, "unix:path=/x", true},
		{"nothing", "", none, "", false},
		{"autolaunch is nothing", "autolaunch:", none, "", false},
		{"the socket", "", socket, at, true},
		{"the socket for autolaunch", "autolaunch:", socket, at, true},
		{"the file", "", file, "unix:abstract=/tmp/dbus-x", true},
		{"autolaunch in the file", "", junk, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			environ := func(name string) string {
				if name != "DBUS_SESSION_BUS_ADDRESS" {
					t.Errorf("asked for %s", name)
				}
				return c.variable
			}
			got, ok := busAddress(environ, c.dir)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("got %q, %v; want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func FuzzParseBusFile(f *testing.F) {
	f.Add("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/x\n")
	f.Add("DBUS_SESSION_BUS_ADDRESS=")
	f.Add("# nothing")
	f.Fuzz(func(t *testing.T, text string) {
		a := parseBusFile(text)
		if a != "" && !strings.HasPrefix(text, "DBUS_SESSION_BUS_ADDRESS="+a) {
			t.Errorf("%q gave %q", text, a)
		}
		if strings.HasSuffix(a, "\n") {
			t.Errorf("%q ends with a line break", a)
		}
	})
}
