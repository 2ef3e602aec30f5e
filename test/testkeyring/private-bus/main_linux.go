// Command private-bus runs a command on a private session bus with an unlocked
// gnome-keyring, for scripts on machines without a desktop session:
//
//	go run ./test/testkeyring/private-bus -- CMD ARG...
//
// The keyring is in a temporary directory, which is removed at the end. The command
// gets the caller's environment, HOME too unless --home is given, and the address of
// the bus. Its exit code is returned, 128+n if a signal ended it. TERM and HUP are
// forwarded; INT and QUIT reach the command from the terminal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// failed is the exit code when the command was not started.
const failed = 125

func main() {
	home := flag.String("home", "", "HOME of the command; the caller's by default")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: private-bus [--home DIR] -- CMD [ARG...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(failed)
	}
	code, err := run(*home, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "private-bus:", err)
	}
	os.Exit(code)
}

func run(home string, argv []string) (code int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	dir, err := os.MkdirTemp("", "private-bus-")
	if err != nil {
		return failed, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := testkeyring.Start(context.Background(), testkeyring.Options{Dir: dir, Mode: testkeyring.Unlocked})
	if err != nil {
		return failed, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+d.Address()) // the last one counts
	if home != "" {
		cmd.Env = append(cmd.Env, "HOME="+home)
	}
	if err := cmd.Start(); err != nil {
		return failed, err
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = cmd.Process.Signal(s) // the command may have ended
			}
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return failed, err
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
