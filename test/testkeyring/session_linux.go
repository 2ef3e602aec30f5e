package testkeyring

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// busConfig has no service directories: the bus starts nothing. The limits
// are those of a desktop (dbus, session.conf); without them there are 256
// connections.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
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

func (d *Desktop) startBus(ctx context.Context) error {
	socket := filepath.Join(d.run, "bus")
	var escaped strings.Builder
	if err := xml.EscapeText(&escaped, []byte(dbus.EscapeBusAddressValue(socket))); err != nil {
		return err
	}
	config := filepath.Join(d.run, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, escaped.String()), 0o600); err != nil {
		return err
	}
	// A pipe of our own: the one of StdoutPipe is closed as soon as the process is waited for.
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("dbus-daemon", "--nofork", "--print-address=1", "--config-file="+config)
	cmd.Env = d.daemonEnv()
	cmd.Stdout = in
	p, err := d.procs.start("dbus", cmd)
	_ = in.Close()
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = out.SetReadDeadline(deadline)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("dbus-daemon gave no address: %w: %s", err, p.output)
	}
	d.address = strings.TrimSpace(line)
	return nil
}

// startKeyring starts gnome-keyring as the mode wants it. A locked one needs a
// collection that an earlier run has made.
func (d *Desktop) startKeyring(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(d.home, ".local", "share", "keyrings", "login.keyring"))
	exists := err == nil
	switch {
	case d.mode == NoCollection && exists:
		return errors.New("Options.Dir holds a login collection already")
	case d.mode == Locked && !exists:
		p, err := d.runKeyring(ctx, true)
		if err != nil {
			return err
		}
		if err := errors.Join(p.kill(), d.waitOwner(ctx, p, false)); err != nil {
			return err
		}
	}
	_, err = d.runKeyring(ctx, d.mode == Unlocked)
	return err
}

func (d *Desktop) runKeyring(ctx context.Context, unlock bool) (*process, error) {
	args := []string{"--foreground", "--components=secrets"}
	if unlock {
		args = append(args, "--unlock")
	}
	cmd := exec.Command("gnome-keyring-daemon", args...)
	cmd.Env = append(d.daemonEnv(), d.Env()...)
	if unlock {
		cmd.Stdin = strings.NewReader(password)
	}
	p, err := d.procs.start("gnome-keyring", cmd)
	if err != nil {
		return nil, err
	}
	if err := d.waitOwner(ctx, p, true); err != nil {
		return nil, err
	}
	if d.mode == NoCollection {
		return p, nil
	}
	v, err := d.conn.Object(serviceName, loginPath).GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		return nil, fmt.Errorf("gnome-keyring has no login collection: %w: %s", err, p.output)
	}
	if locked, ok := v.Value().(bool); !ok || locked == unlock {
		return nil, fmt.Errorf("gnome-keyring: property Locked is %v: %s", v, p.output)
	}
	return p, nil
}

// waitOwner waits until the name of the secret service has an owner, or has none.
func (d *Desktop) waitOwner(ctx context.Context, p *process, want bool) error {
	for {
		var has bool
		if err := d.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, serviceName).Store(&has); err != nil {
			return err
		}
		if has == want {
			return nil
		}
		gone := p.gone
		if !want {
			gone = nil
		}
		select {
		case <-gone:
			return fmt.Errorf("gnome-keyring-daemon ended: %v: %s", p.cmd.ProcessState, p.output)
		case <-ctx.Done():
			return fmt.Errorf("gnome-keyring-daemon: %w: %s", ctx.Err(), p.output)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// daemonEnv is all that the daemons need of the caller's environment.
func (d *Desktop) daemonEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.home, "LC_ALL=C.UTF-8"}
}

// ownPrompter takes the place of the desktop's dialogs: it counts and refuses them.
func ownPrompter(conn *dbus.Conn, calls *counter) error {
	table := map[string]any{
		"BeginPrompting": func(dbus.ObjectPath) *dbus.Error {
			calls.add("BeginPrompting")
			return dbus.MakeFailedError(errors.New("there is no user"))
		},
	}
	if err := conn.ExportMethodTable(table, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"); err != nil {
		return err
	}
	return ownName(conn, "org.gnome.keyring.SystemPrompter")
}

func ownName(conn *dbus.Conn, name string) error {
	reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = errors.New("it has another owner")
	}
	if err != nil {
		return fmt.Errorf("own %s: %w", name, err)
	}
	return nil
}
