//go:build linux || freebsd || openbsd || netbsd || dragonfly

package keychain

import (
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

const (
	busVariable = "DBUS_SESSION_BUS_ADDRESS"
	autolaunch  = "autolaunch:"
	// maxBusFile bounds what is read of /run/user/UID/dbus-session, in bytes.
	maxBusFile = 4096
)

// BusAddress returns the address of the session bus of user uid, by the rules of
// godbus (conn.go and conn_other.go): DBUS_SESSION_BUS_ADDRESS unless it is
// empty or "autolaunch:", then the socket /run/user/UID/bus, then what
// /run/user/UID/dbus-session says. False means that there is no bus, and so no
// keychain.
//
// A program must set DBUS_SESSION_BUS_ADDRESS to the answer in its own process
// before it uses a Keychain, and unset it on false: without an address godbus
// executes dbus-launch from PATH and sets the variable itself. Where the answer
// is "", true, the system needs no bus and nothing is to be set.
func BusAddress(environ func(string) string, uid int) (string, bool) {
	return busAddress(environ, fmt.Sprintf("/run/user/%d", uid))
}

func busAddress(environ func(string) string, dir string) (string, bool) {
	if a := environ(busVariable); usable(a) {
		return a, true
	}
	socket := path.Join(dir, "bus")
	if _, err := os.Stat(socket); err == nil {
		return "unix:path=" + dbus.EscapeBusAddressValue(socket), true
	}
	f, err := os.OpenFile(path.Join(dir, "dbus-session"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() { // a fifo could be waited for, for ever
		return "", false
	}
	text := make([]byte, maxBusFile)
	n, _ := f.Read(text)
	a := parseBusFile(string(text[:n]))
	return a, usable(a)
}

// parseBusFile returns the address in a dbus-session file, or "".
func parseBusFile(text string) string {
	a, ok := strings.CutPrefix(text, busVariable+"=")
	if !ok {
		return ""
	}
	return strings.TrimRight(a, "\n\r")
}

// usable says that godbus would take this address as it is.
func usable(address string) bool { return address != "" && address != autolaunch }
