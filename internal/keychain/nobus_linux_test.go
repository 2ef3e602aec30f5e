package keychain

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDeadBus(t *testing.T) {
	dir := t.TempDir()
	refused := filepath.Join(dir, "refused")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: refused, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for address, words := range map[string]string{
		"unix:path=" + filepath.Join(dir, "none"): "no such file or directory",
		"unix:path=" + refused:                    "connection refused",
		"nonsense":                                "invalid bus address",
		"autolaunch:scope=*":                      "unsupported transport",
	} {
		o := play(t, []string{"DBUS_SESSION_BUS_ADDRESS=" + address}, script{Steps: []step{get, peek, set, put, remove}})
		if got := kinds(o); got != "absent, absent, absent, absent, absent" {
			t.Errorf("%s: %s", address, got)
		}
		for _, o := range o {
			if !strings.Contains(o.Text, words) {
				t.Errorf("%s: %q", address, o.Text)
			}
		}
	}
}

// TestHungBus is a socket whose owner accepts and never says a word.
func TestHungBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := play(t, []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + path}, script{Timeout: 20 * time.Millisecond, Quiet: 20 * time.Millisecond, Steps: []step{get, peek}})
	if got := kinds(o); got != "timeout, timeout" {
		t.Error(got)
	}
}

// TestNoBusRunsNoDbusLaunch plants a dbus-launch that leaves a mark.
func TestNoBusRunsNoDbusLaunch(t *testing.T) {
	bin, marker := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	launch := "#!/bin/sh\n: > " + marker + "\necho DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere\n"
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte(launch), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		env := []string{"PATH=" + bin, "DBUS_SESSION_BUS_ADDRESS=" + address}
		o := play(t, env, script{Steps: []step{get, peek, set, put, remove}})
		if got := kinds(o); got != "absent, absent, absent, absent, absent" {
			t.Errorf("%q: %s", address, got)
		}
		for _, o := range o {
			if !strings.Contains(o.Text, "DBUS_SESSION_BUS_ADDRESS is not set") || o.BusVariable != address {
				t.Errorf("%q: %q, and the variable is %q", address, o.Text, o.BusVariable)
			}
		}
		if _, err := os.Stat(marker); err == nil {
			t.Fatal("dbus-launch was run")
		}
	}
	// The trap is a good one: left to itself, godbus runs it or sets the variable.
	o := play(t, []string{"PATH=" + bin}, script{Steps: []step{{Op: "raw"}}})
	if _, err := os.Stat(marker); err != nil && o[0].BusVariable == "" {
		t.Errorf("godbus neither ran dbus-launch nor set the variable: %s", o[0].Text)
	}
}
