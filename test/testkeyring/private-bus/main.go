// Command private-bus runs a command on a private session bus with an unlocked
// gnome-keyring, for scripts on machines without a desktop session:
//
//	go run ./test/testkeyring/private-bus -- CMD ARG…
//
// The keyring lives in a temporary folder and is gone at the end. The command
// keeps the caller's environment, HOME included unless --home names another, and
// gets the bus address. Its exit code is returned, 128+n when a signal ended it
// (by `go run` any failure is 1: build the program where the code matters). TERM
// and HUP are passed on; INT and QUIT reach the command from the terminal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
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
	cmd.Env = environment(os.Environ(), d.Address(), home)
	if err := cmd.Start(); err != nil {
		return failed, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = cmd.Process.Signal(s) // it may have ended just now
			}
		case err := <-ended:
			return exitCode(cmd.ProcessState, err)
		}
	}
}

func environment(caller []string, address, home string) []string {
	var env []string
	for _, kv := range caller {
		name, _, _ := strings.Cut(kv, "=")
		if name == "DBUS_SESSION_BUS_ADDRESS" || name == "GNOME_KEYRING_CONTROL" || name == "HOME" && home != "" {
			continue
		}
		env = append(env, kv)
	}
	if home != "" {
		env = append(env, "HOME="+home)
	}
	return append(env, "DBUS_SESSION_BUS_ADDRESS="+address)
}

func exitCode(state *os.ProcessState, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return failed, err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}
