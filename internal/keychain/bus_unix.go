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
	// maxBusFile is the number of bytes read from /run/user/UID/dbus-session.
	maxBusFile = 4096
)

// BusAddress returns the address of the session bus of user uid, by the rules of godbus
// (conn.go, conn_other.go): DBUS_SESSION_BUS_ADDRESS unless it is empty or "autolaunch:",
// then the socket /run/user/UID/bus, then the content of /run/user/UID/dbus-session. If
// it returns false, there is no bus and no keychain.
//
// A program must set DBUS_SESSION_BUS_ADDRESS to the result before it uses a Keychain,
// and unset it on false: without an address godbus executes dbus-launch from PATH and
// sets the variable. The result "", true means that the system needs no bus, and that
// the variable is not to be set.
func BusAddress(environ func(string) string, uid int) (string, bool) {
	return busAddress(environ, fmt.Sprintf("/run/user/%d", uid))
}

func busAddress(environ func(string) string, dir string) (string, bool) {
	if a := environ(busVariable); isBusAddress(a) {
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
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() { // reading a FIFO could block
		return "", false
	}
	text := make([]byte, maxBusFile)
	n, _ := f.Read(text)
	a := parseBusFile(string(text[:n]))
	return a, isBusAddress(a)
}

// parseBusFile returns the address in a dbus-session file, or "".
func parseBusFile(text string) string {
	a, ok := strings.CutPrefix(text, busVariable+"=")
	if !ok {
		return ""
	}
	return strings.TrimRight(a, "\n\r")
}

// isBusAddress reports whether godbus uses this address as it is.
func isBusAddress(address string) bool { return address != "" && address != autolaunch }
