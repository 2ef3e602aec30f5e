package testkeyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
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

// busConfig has no service directories: the bus starts nothing. The limits
// are those of a desktop (dbus, session.conf); without them there are 256
// connections. The option --address overrides the address.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_completed_connections">100000</limit>
  <limit name="max_incomplete_connections">10000</limit>
  <limit name="max_connections_per_user">100000</limit>
</busconfig>
`

// Desktop is a running private session. Its methods are safe for concurrent use.
type Desktop struct {
	mode    Mode
	home    string
	run     string // sockets, removed at the end
	address string
	daemons []*daemon
	conn    *dbus.Conn // ours: the fake, the prompter, Lock and Unlock
	fake    *fake      // nil with gnome-keyring and without a provider
	calls   *counter
}

// Start starts a session and returns when its secret service answers. The caller
// must Close it. If the caller is killed, the kernel kills the processes too.
func Start(ctx context.Context, o Options) (*Desktop, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	d := &Desktop{mode: o.Mode, calls: &counter{n: map[string]int{}}}
	if err := d.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("desktop %s: %w", o.Mode, err), d.Close())
	}
	return d, nil
}

func (d *Desktop) start(ctx context.Context, o Options) error {
	if err := d.makeDirs(o.Dir); err != nil {
		return err
	}
	if err := d.startBus(ctx); err != nil {
		return err
	}
	switch o.Mode {
	case NoProvider:
		return nil
	case Unlocked, Locked, NoCollection:
		if err := ownPrompter(d.conn, d.calls); err != nil {
			return err
		}
		return d.startKeyring(ctx)
	}
	d.fake = newFake(d.conn, o, d.calls)
	return d.fake.own()
}

// makeDirs creates the home, and a directory with a short path for sockets, which have
// at most 107 bytes.
func (d *Desktop) makeDirs(dir string) (err error) {
	if d.home, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.loginKeyring()), 0o700); err != nil {
		return err
	}
	base := os.TempDir()
	if len(base) > 60 {
		base = "/tmp"
	}
	d.run, err = os.MkdirTemp(base, "desktop-")
	return err
}

// loginKeyring is the file of gnome-keyring's login collection.
func (d *Desktop) loginKeyring() string {
	return filepath.Join(d.home, ".local", "share", "keyrings", "login.keyring")
}

// startBus starts the bus and connects to it.
func (d *Desktop) startBus(ctx context.Context) error {
	d.address = "unix:path=" + dbus.EscapeBusAddressValue(filepath.Join(d.run, "bus"))
	config := filepath.Join(d.run, "bus.conf")
	if err := os.WriteFile(config, []byte(busConfig), 0o600); err != nil {
		return err
	}
	bus, err := d.startDaemon("dbus", exec.Command("dbus-daemon", "--nofork", "--address="+d.address, "--config-file="+config))
	if err != nil {
		return err
	}
	return bus.wait(ctx, func() (ok bool, err error) {
		d.conn, err = dbus.Connect(d.address)
		return err == nil, nil
	})
}

// startKeyring starts gnome-keyring as the mode wants it. A locked one needs a
// collection that an earlier run has made.
func (d *Desktop) startKeyring(ctx context.Context) error {
	_, err := os.Stat(d.loginKeyring())
	switch {
	case d.mode == NoCollection && err == nil:
		return errors.New("Options.Dir holds a login collection already")
	case d.mode == Locked && err != nil:
		if err := d.runKeyring(ctx, true); err != nil {
			return err
		}
		d.daemons[len(d.daemons)-1].kill()
		for owned := true; owned; {
			if owned, err = d.isOwned(ctx); err != nil {
				return err
			}
		}
	}
	return d.runKeyring(ctx, d.mode == Unlocked)
}

func (d *Desktop) runKeyring(ctx context.Context, unlock bool) error {
	cmd := exec.Command("gnome-keyring-daemon", "--foreground", "--components=secrets")
	if unlock {
		cmd.Args = append(cmd.Args, "--unlock")
		cmd.Stdin = strings.NewReader(password)
	}
	p, err := d.startDaemon("gnome-keyring", cmd)
	if err != nil {
		return err
	}
	if err := p.wait(ctx, func() (bool, error) { return d.isOwned(ctx) }); err != nil || d.mode == NoCollection {
		return err
	}
	v, err := d.conn.Object(serviceName, loginPath).GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil || v.Value() == unlock {
		return p.fail(fmt.Errorf("property Locked is %v, %w", v, err))
	}
	return nil
}

// isOwned reports whether a secret service is on the bus.
func (d *Desktop) isOwned(ctx context.Context) (has bool, err error) {
	err = d.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, serviceName).Store(&has)
	return has, err
}

// ownPrompter takes the place of the desktop's dialogs: it counts and refuses them.
func ownPrompter(conn *dbus.Conn, calls *counter) error {
	begin := func(dbus.ObjectPath) *dbus.Error {
		calls.add("BeginPrompting")
		return dbus.MakeFailedError(errors.New("there is no user"))
	}
	table := map[string]any{"BeginPrompting": begin}
	if err := conn.ExportMethodTable(table, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"); err != nil {
		return err
	}
	return ownName(conn, "org.gnome.keyring.SystemPrompter")
}

func ownName(conn *dbus.Conn, name string) error {
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		return fmt.Errorf("own %s: reply %v, %w", name, reply, err)
	}
	return nil
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
	if err != nil || len(locked) != 1 {
		return fmt.Errorf("lock the login collection: %v, %w", locked, err)
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
	if err == nil {
		master := secret{Session: session, Parameters: []byte{}, Value: []byte(password), ContentType: "text/plain"}
		const method = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword"
		err = d.service().CallWithContext(ctx, method, 0, loginPath, master).Err
	}
	if err != nil {
		return fmt.Errorf("unlock the login collection: %w", err)
	}
	return nil
}

func (d *Desktop) service() dbus.BusObject { return d.conn.Object(serviceName, servicePath) }

// Close kills every process, waits for it, and removes the sockets.
func (d *Desktop) Close() error {
	if d.fake != nil {
		d.fake.stop()
	}
	if d.conn != nil {
		_ = d.conn.Close() // the bus may be gone already
	}
	for _, p := range d.daemons {
		p.kill()
	}
	if d.run == "" {
		return nil
	}
	return os.RemoveAll(d.run)
}

// daemon is a child that dies with this process.
type daemon struct {
	cmd  *exec.Cmd
	log  string        // the file of its error messages
	gone chan struct{} // closed when it has been waited for
}

// forks are run by one thread that never ends: the kernel ties the signal at the
// parent's death to the thread that forked (prctl(2), PR_SET_PDEATHSIG).
var forks = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// startDaemon starts a program of a Debian package.
func (d *Desktop) startDaemon(debian string, cmd *exec.Cmd) (*daemon, error) {
	log, err := os.CreateTemp(d.run, "log-")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}, d.Env()...)
	cmd.Stderr = log
	// A group of its own: Ctrl-C is for the command under test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	failed := make(chan error)
	forks() <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("%w (Debian package %s)", err, debian)
	}
	p := &daemon{cmd: cmd, log: log.Name(), gone: make(chan struct{})}
	d.daemons = append(d.daemons, p)
	go func() {
		_ = cmd.Wait() // killed, or its end is noticed by who waits for its service
		close(p.gone)
	}()
	return p, nil
}

func (p *daemon) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.gone
}

func (p *daemon) fail(err error) error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %w: %s", p.cmd.Path, err, text)
}

// wait polls until ready returns true or an error, or ctx ends.
func (p *daemon) wait(ctx context.Context, ready func() (bool, error)) error {
	for {
		switch ok, err := ready(); {
		case err != nil:
			return p.fail(err)
		case ok:
			return nil
		}
		select {
		case <-p.gone:
			return p.fail(errors.New("ended"))
		case <-ctx.Done():
			return p.fail(ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}
