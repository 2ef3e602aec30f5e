// Command local-lakebase runs a local Lakebase: a workspace API and a Postgres
// that sleeps and wakes, on loopback. It prints shell exports to be eval'd, then
// "# ready", and stays until INT, TERM or (with --stdin) the end of its input.
//
//	go run ./test/emulator/local-lakebase --env-file lakebase.env
//	. ./lakebase.env    # in another shell
//	lakebase-exec -- psql
//
// `local-lakebase ctl` steers a running one, which --control or LOCAL_LAKEBASE_CONTROL
// names; --help lists its commands.
//
// It must never be given a real credential; its own die with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// controlVar names the control socket for ctl.
const controlVar = "LOCAL_LAKEBASE_CONTROL"

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "ctl" {
		err = ctl(os.Args[2:], os.Stdout)
	} else {
		err = run(os.Args[1:])
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, control.ErrUsage):
		fmt.Fprintln(os.Stderr, "local-lakebase:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "local-lakebase:", err)
		os.Exit(1)
	}
}

// flags are what the command line gives.
type flags struct {
	options       emulator.Options
	wake          string
	wakeTime      string
	envFile       string
	secretFile    string
	withoutSecret bool
	auth          string
	stdin         bool
	instance      string
}

func parse(args []string) (flags, error) {
	var f flags
	fs := flag.NewFlagSet("local-lakebase", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main reports errors
	f.declare(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(os.Stdout)
			fmt.Println("local-lakebase [options]\nlocal-lakebase ctl [--control PATH] COMMAND [WORD...]")
			fs.PrintDefaults()
			fmt.Print("\nCommands of ctl:\n", control.Help())
			return f, err
		}
		return f, fmt.Errorf("%w: %w", control.ErrUsage, err)
	}
	if fs.NArg() > 0 {
		return f, fmt.Errorf("%w: unexpected argument %q", control.ErrUsage, fs.Arg(0))
	}
	if !slices.Contains(emulator.AuthTypes(), emulator.AuthType(f.auth)) {
		return f, fmt.Errorf("%w: --auth %q is none of %v", control.ErrUsage, f.auth, emulator.AuthTypes())
	}
	if f.instance != "" {
		f.options.Instances = []string{f.instance}
	}
	mode, takes, err := control.ParseWake(f.wake, f.wakeTime)
	f.options.Settings.Wake, f.options.Settings.WakeTime = mode, takes
	return f, err
}

func (f *flags) declare(fs *flag.FlagSet) {
	o := &f.options
	fs.BoolVar(&o.NoPostgres, "no-postgres", false, "the workspace API alone")
	fs.BoolVar(&o.Suspended, "suspended", false, "start with the compute asleep")
	fs.StringVar(&f.wake, "wake", "held", "`mode` of a wake, as a client sees it: "+control.Modes())
	fs.StringVar(&f.wakeTime, "wake-time", "0s", "how long a wake takes at least: `duration`, or never")
	fs.StringVar(&f.envFile, "env-file", "", "write the exports to `path` too, mode 0600")
	fs.BoolVar(&f.withoutSecret, "without-secret", false, "leave DATABRICKS_CLIENT_SECRET, and every other secret, out of the exports")
	fs.StringVar(&f.secretFile, "secret-file", "", "write the client secret to `path`, mode 0600")
	fs.StringVar(&f.instance, "instance", "", "offer the instance `name` of Lakebase Provisioned too; the exports name it in place of the endpoint")
	fs.BoolVar(&f.stdin, "stdin", false, "end when standard input does")
	fs.StringVar(&f.auth, "auth", string(emulator.AuthM2M), fmt.Sprintf("the exports are for this `type` of authentication: %v",
		emulator.AuthTypes()))
	fs.StringVar(&o.UserName, "user-name", "", "user `name` of who signs in at a browser (default ada@example.com)")
	fs.Func("endpoint", "full `name` of an endpoint, once for each; the exports name the first (default "+emulator.Endpoint+")",
		func(name string) error {
			o.Endpoints = append(o.Endpoints, name)
			return nil
		})
	fs.Func("set", "a setting, as ctl set takes it: `NAME=VALUE`, once for each", func(word string) error {
		return control.Apply(&o.Settings, word)
	})
}

// run starts everything, prints the exports and waits.
func run(args []string) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	l, err := emulator.Start(ctx, f.options)
	if err != nil {
		return err
	}
	err = serve(ctx, l, f)
	return errors.Join(err, l.Close())
}

func serve(ctx context.Context, l *emulator.Lakebase, f flags) (err error) {
	socket := filepath.Join(l.Dir(), "control")
	control, err := startControl(l, socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.Close()) }()
	text, err := exports(l, socket, f)
	if err != nil {
		return err
	}
	// The environment comes last: who waits for it finds the secret.
	for _, file := range [][2]string{{f.secretFile, l.ClientSecret + "\n"}, {f.envFile, text}} {
		if file[0] == "" {
			continue
		}
		if err := securefile.ReplaceFile(file[0], []byte(file[1])); err != nil {
			return err
		}
		defer os.Remove(file[0])
	}
	if _, err := fmt.Fprint(os.Stdout, text, "\n# ready\n"); err != nil {
		return err
	}
	ended := make(chan struct{})
	if f.stdin {
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(ended) }()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return nil
}

// secretNames are the variables that --without-secret leaves out.
var secretNames = []string{"DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN", "DATABRICKS_OIDC_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}

// exports is one shell line for each variable.
func exports(l *emulator.Lakebase, socket string, f flags) (string, error) {
	env, err := l.EnvFor(emulator.AuthType(f.auth), emulator.WorkloadSpec{})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, kv := range append(env, controlVar+"="+socket) {
		name, value, _ := strings.Cut(kv, "=")
		if f.withoutSecret && slices.Contains(secretNames, name) {
			continue
		}
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String(), nil
}
