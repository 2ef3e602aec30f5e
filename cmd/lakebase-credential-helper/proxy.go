package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

func proxyCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "proxy", Category: categoryTokens, Usage: "serve Postgres clients without tokens",
		UsageText: program + " proxy [options] --listen ADDR (--password-file PATH | --trust-local)",
		Description: `Logs Postgres clients in at the endpoint with a fresh token for as long as it runs.
They connect with sslmode=disable (or require, on TCP), the target's user, and the
password of the file. Once a login has succeeded, it prints its address on stdout.

Examples:
  lakebase-credential-helper proxy -p prod --listen 127.0.0.1:5432 --password-file ~/.lakebase-proxy`,
		Flags: flags([]config.Setting{
			{Option: "password-file", Value: "PATH", Usage: "clients give the password of this file"},
			{Option: "trust-local", Usage: "clients give no password, on loopback and Unix sockets only"},
			{Option: "drain-timeout", Value: "TIME", Usage: "on HUP, INT, QUIT or TERM, wait for open connections to end for at most TIME"},
		}, []config.Category{config.CategoryCommand}),
		Action: c.action(func(given options, in *config.Input) error {
			if err := checkProxy(given, in); err != nil {
				return err
			}
			_ = c.ReexecWithoutSecrets() // before anything is logged that would be logged twice
			return nil
		}, serve),
	}
}

// checkProxy checks proxy's own options before the configuration is resolved.
func checkProxy(given options, in *config.Input) error {
	in.Listens = true
	switch {
	case !given.has("listen"):
		return &cli.UsageError{Problem: "proxy needs --listen", Fix: "give --listen 127.0.0.1:5432, or a directory for its socket"}
	case !given.has("password-file") && !given.has("trust-local"):
		return &cli.UsageError{Problem: "proxy needs one of --password-file and --trust-local",
			Fix: "give --password-file with the password of the clients, or --trust-local to accept all that can reach the address"}
	}
	_, err := given.drainTimeout()
	return cmp.Or(err, given.conflict("trust-local", "leave one of them out", "password-file"))
}

func (o options) drainTimeout() (time.Duration, error) {
	return o.duration("drain-timeout", time.Second, time.Hour)
}

// serve runs the proxy until a signal ends it.
func serve(ctx context.Context, c *invocation) error {
	if err := process.DisableCoreDumps(); err != nil {
		return err
	}
	if _, err := c.addressOutput().Write(nil); err != nil { // before a token is minted
		return err
	}
	var password credential.Secret
	trust := c.given.has("trust-local")
	if !trust {
		var err error
		if password, err = c.ReadSecretFile(c.given.get("password-file"), true); err != nil {
			return err
		}
	}
	ln, err := c.listen(!trust)
	if err != nil {
		return cli.ListenError(c.conf.Listen.Source, err)
	}
	defer ln.Close()
	received, release := cli.HoldSignals()
	defer release()
	ctx, cancel := withSignals(ctx, received)
	defer cancel()
	err = c.runProxy(ctx, ln, password, trust, received)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // ended by a signal
	}
	return err
}

// runProxy logs in, and then serves clients until ctx ends and their connections have.
func (c *invocation) runProxy(ctx context.Context, ln net.Listener, password credential.Secret, trust bool, signals <-chan os.Signal) error {
	client, err := c.Client(c.conf, c.Keychain(c.conf).NonInteractive(), c.log, c.progress)
	if err != nil {
		return err
	}
	session, err := client.Open(ctx)
	c.progress.Stop()
	if err != nil {
		return err
	}
	services := c.NewServices(c.conf, c.log, client, session, nil)
	services.UseProxy(ln, session.Target, password, trust)
	defer services.Stop()
	if err := services.Start(context.WithoutCancel(ctx), nil); err != nil { // Stop ends them
		return err
	}
	services.SetStarted()
	if _, err := io.WriteString(c.addressOutput(), ln.Addr().String()+"\n"); err != nil {
		return err
	}
	<-ctx.Done()
	timeout, err := c.given.drainTimeout()
	if err != nil || timeout == 0 {
		return err
	}
	c.log.Progress(fmt.Sprintf("waiting for open connections to end, for at most %s; a second signal closes them", timeout))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	ctx, stop := withSignals(ctx, signals)
	defer stop()
	services.Drain(ctx)
	return nil
}

// withSignals returns a context that ends with the next signal, too.
func withSignals(ctx context.Context, signals <-chan os.Signal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-signals:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// addressOutput returns the writer of the address. Standard output may be closed unless
// the kernel chooses the port, which nothing else reports.
func (c *invocation) addressOutput() io.Writer {
	if _, port, err := net.SplitHostPort(c.conf.Listen.Value); err == nil && strings.Trim(port, "0") == "" {
		return c.Output()
	}
	return c.ReportOutput()
}

// listen opens the proxy's listener. An address that other machines can reach requires
// a password, and a warning is logged.
func (c *invocation) listen(hasPassword bool) (net.Listener, error) {
	at := c.conf.Listen.Value
	ln, err := cli.Listen(at, c.conf.PGPort.Value)
	if !errors.Is(err, pgproxy.ErrNotLoopback) {
		return ln, err
	}
	if !hasPassword {
		return nil, fmt.Errorf("%w; --trust-local requires one", err)
	}
	c.log.Warn("--listen %s: other machines can connect; without sslmode=require their traffic is not encrypted", at)
	return net.Listen("tcp", at)
}
