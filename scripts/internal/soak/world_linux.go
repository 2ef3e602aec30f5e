package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

const helper = "lakebase-credential-helper"

// world is what the proxy lives in: a Lakebase, and a desktop with a keychain.
type world struct {
	base    *emulator.Lakebase
	desk    *testkeyring.Desktop
	dir     string   // of all files but the Lakebase's
	env     []string // of the programs; the secret is not in it
	keyring int      // pid of the one that answers for the keychain

	// cuts counts the beginnings and the ends of what cuts sessions: an odd count
	// says that such a thing is under way.
	cuts atomic.Int64
}

// newWorld starts it, and has the secret stored in the keychain.
func newWorld(ctx context.Context, life time.Duration) (*world, error) {
	// What is said of a database here is for the programs, not for our own clients.
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	w := &world{}
	if err := w.start(ctx, life); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, life time.Duration) (err error) {
	if w.dir, err = os.MkdirTemp("/tmp", "soak-"); err != nil { // a socket's path is short
		return err
	}
	if w.base, err = emulator.Start(ctx, emulator.Options{Settings: emulator.Settings{DatabaseTokenLife: life}}); err != nil {
		return err
	}
	if w.desk, err = testkeyring.Start(ctx, testkeyring.Options{Dir: filepath.Join(w.dir, "home"), Mode: testkeyring.Unlocked}); err != nil {
		return err
	}
	w.env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	for _, e := range append(w.base.Env(), w.desk.Env()...) {
		if !strings.HasPrefix(e, "DATABRICKS_CLIENT_SECRET=") {
			w.env = append(w.env, e)
		}
	}
	if w.keyring, err = owner(ctx, w.desk); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, helper, "login", "--secret-stdin")
	cmd.Env, cmd.Stdin = w.env, strings.NewReader(w.base.ClientSecret+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("login: %w: %s", err, out)
	}
	return nil
}

// owner is the process that answers for the keychain.
func owner(ctx context.Context, desk *testkeyring.Desktop) (pid int, err error) {
	conn, err := dbus.Connect(desk.Address())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var number uint32
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, "org.freedesktop.secrets").Store(&number)
	return int(number), err
}

// close leaves nothing behind.
func (w *world) close() (err error) {
	if w.desk != nil {
		if w.keyring != 0 {
			_ = syscall.Kill(w.keyring, syscall.SIGCONT)
		}
		err = w.desk.Close()
	}
	if w.base != nil {
		err = errors.Join(err, w.base.Close())
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// statusFile is where the proxy says how it fares.
func (w *world) statusFile() string { return filepath.Join(w.dir, "status.json") }

func (w *world) status() (status, error) { return readStatus(w.statusFile()) }

// cutting does what cuts sessions.
func (w *world) cutting(do func() error) error {
	w.cuts.Add(1)
	defer w.cuts.Add(1)
	return do()
}

// mayBeCut says whether a session that began when cuts was seen may have lost its
// server.
func (w *world) mayBeCut(seen int64) bool { return seen%2 == 1 || w.cuts.Load() != seen }

// reveals says whether a text has a secret of the service principal in it, or a
// token.
func (w *world) reveals(text string) bool {
	for _, secret := range w.base.EverySecret() {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return strings.Contains(text, "eyJ")
}
