package testkeyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	// startLimit bounds Start, which takes about 0.1 s on an idle machine.
	startLimit = time.Minute
	// password opens the login collection of every desktop.
	password = "desktop"

	serviceName = "org.freedesktop.secrets"
	servicePath = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath   = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	noPath      = dbus.ObjectPath("/")
)

// Desktop is a running private session. Its methods are safe for concurrent use.
type Desktop struct {
	mode    Mode
	home    string
	run     string // sockets, removed at the end
	address string
	procs   *processes
	conn    *dbus.Conn // ours: the fake, the prompter, Lock and Unlock
	fake    *fake      // nil with gnome-keyring and without a provider
	calls   *counter
}

// Start starts a session and returns when its secret service answers. The caller
// must Close it. If the caller is killed, the kernel kills the processes too.
func Start(ctx context.Context, o Options) (*Desktop, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	d := &Desktop{mode: o.Mode, procs: newProcesses(), calls: newCounter()}
	if err := d.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("desktop %s: %w", o.Mode, err), d.Close())
	}
	return d, nil
}

func (d *Desktop) start(ctx context.Context, o Options) error {
	if err := d.folders(o.Dir); err != nil {
		return err
	}
	if err := d.startBus(ctx); err != nil {
		return err
	}
	conn, err := dbus.Connect(d.address)
	if err != nil {
		return fmt.Errorf("connect to the private bus: %w", err)
	}
	d.conn = conn
	switch o.Mode {
	case NoProvider:
		return nil
	case Unlocked, Locked, NoCollection:
		if err := ownPrompter(conn, d.calls); err != nil {
			return err
		}
		return d.startKeyring(ctx)
	case Silent, HungPrompt, Dismissed, Accepted, Asking, Slow, Forgetful, Garbage, GarbagePrompt:
		d.fake = newFake(conn, o, d.calls)
		return d.fake.own()
	}
	return fmt.Errorf("unknown mode %q", o.Mode)
}

// folders creates the home, and a directory with a short path for sockets, which have
// at most 107 bytes.
func (d *Desktop) folders(dir string) error {
	home, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return errors.Join(errors.New("Options.Dir is needed"), err)
	}
	d.home = home
	if err := os.MkdirAll(filepath.Join(home, ".local", "share", "keyrings"), 0o700); err != nil {
		return err
	}
	base := os.TempDir()
	if len(base) > 60 {
		base = "/tmp"
	}
	d.run, err = os.MkdirTemp(base, "desktop-")
	return err
}

// Address is the address of the private bus.
func (d *Desktop) Address() string { return d.address }

// Env returns the variables that a program in this session needs, as NAME=value.
func (d *Desktop) Env() []string {
	return []string{
		"DBUS_SESSION_BUS_ADDRESS=" + d.address,
		"HOME=" + d.home,
		"XDG_RUNTIME_DIR=" + d.run,
		"XDG_DATA_HOME=" + filepath.Join(d.home, ".local", "share"),
		"XDG_CONFIG_HOME=" + filepath.Join(d.home, ".config"),
		"XDG_CACHE_HOME=" + filepath.Join(d.home, ".cache"),
	}
}

// Calls counts the calls that the fake received, by method name. With
// gnome-keyring it counts BeginPrompting: requests for a dialog, which are refused.
func (d *Desktop) Calls() map[string]int { return d.calls.snapshot() }

// Lock locks the login collection.
func (d *Desktop) Lock(ctx context.Context) error {
	if d.fake != nil {
		d.fake.setLocked(true)
		return nil
	}
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := d.service().CallWithContext(ctx, "org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{loginPath}).Store(&locked, &prompt)
	if err == nil && len(locked) != 1 {
		err = errors.New("not locked")
	}
	if err != nil {
		return fmt.Errorf("lock the login collection: %w", err)
	}
	return nil
}

// Unlock unlocks the login collection without a dialog.
func (d *Desktop) Unlock(ctx context.Context) error {
	if d.fake != nil {
		d.fake.setLocked(false)
		return nil
	}
	var none dbus.Variant
	var session dbus.ObjectPath
	err := d.service().CallWithContext(ctx, "org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&none, &session)
	if err != nil {
		return fmt.Errorf("unlock the login collection: %w", err)
	}
	master := secret{Session: session, Parameters: []byte{}, Value: []byte(password), ContentType: "text/plain"}
	call := d.service().CallWithContext(ctx, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0, loginPath, master)
	if call.Err != nil {
		return fmt.Errorf("unlock the login collection: %w", call.Err)
	}
	return nil
}

// Close kills every process, waits for it, and removes the sockets.
func (d *Desktop) Close() error {
	if d.fake != nil {
		d.fake.stop()
	}
	if d.conn != nil {
		_ = d.conn.Close() // the bus may be gone already
	}
	err := d.procs.close()
	if d.run != "" {
		err = errors.Join(err, os.RemoveAll(d.run))
	}
	return err
}

func (d *Desktop) service() dbus.BusObject { return d.conn.Object(serviceName, servicePath) }
