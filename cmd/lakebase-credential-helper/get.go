package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func getCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "get", Category: categoryTokens, Usage: "print a database token",
		UsageText: program + " get [options]",
		Description: `Prints one document on stdout, or the reason on stderr. Takes at most ten seconds
and never prompts. The printed expiry is one minute early.

Examples:
  lakebase-credential-helper get -p prod --format password
  eval "$(lakebase-credential-helper get -p prod --format env)"`,
		Flags: flags([]config.Setting{
			{Option: "format", Value: "FORMAT", Usage: strings.Join(credformat.Names(), ", "), Default: credformat.Names()[0], Words: credformat.Names()},
			{Option: "wait", Value: "TIME", Usage: "also wait this long for a suspended compute to wake"},
		}, ofStart),
		Action: c.action(checkGet, get),
	}
}

// getLimit is get's time limit, without --wait. The strictest caller, Bazel, waits that long.
const getLimit = 10 * time.Second

// formatOf returns the format that --format names.
func formatOf(given options) credformat.Format {
	format, _ := credformat.Lookup(cmp.Or(given.get("format"), credformat.Names()[0]))
	return format
}

func checkGet(given options, in *config.Input) error {
	// Here --wait is a time, and not the setting of that name, which is a word.
	in.Options = maps.Clone(in.Options)
	delete(in.Options, "wait")
	in.NoEndpoint = formatOf(given).Workspace
	return nil
}

// get prints one token. It never prompts: a locked keychain is an error.
func get(ctx context.Context, c *invocation) error {
	wait, err := c.given.duration("wait", time.Millisecond, time.Hour)
	if err != nil {
		return err
	}
	c.conf.Wait.Value = config.WaitNever
	if wait > 0 {
		c.conf.Wait.Value, c.conf.WaitTimeout.Value = config.WaitAuto, wait
	}
	ctx, cancel := context.WithTimeout(ctx, getLimit+wait)
	defer cancel()
	capped := c.conf.Timeout.Value > getLimit
	c.conf.Timeout.Value = min(c.conf.Timeout.Value, getLimit)
	client, err := c.Client(c.conf, c.Keychain(c.conf).NonInteractive(), c.log, nil)
	if err != nil {
		return err
	}
	return limitedByGet(ctx, c.printToken(ctx, client), capped, getLimit+wait)
}

// limitedByGet names get's limit if it caused err. capped reports whether it replaced
// --timeout, whose end retry.Do does not wait for.
func limitedByGet(ctx context.Context, err error, capped bool, limit time.Duration) error {
	tried, retried := errors.AsType[*retry.Error](err)
	login, failed := errors.AsType[*pglogin.Error](err)
	switch {
	case err == nil || failed && login.Kind == pglogin.WakeTimeout: // its hint names --wait
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded), capped && retried && tried.After == 0 && !errors.Is(tried, context.Canceled):
		return &cli.HintedError{Err: fmt.Errorf("get's time limit of %v is over: %w", limit, err),
			Fix: "give --wait TIME, which adds to the limit, or use lakebase-exec, which has --timeout and --keychain-timeout"}
	}
	return err
}

// printToken prints a token in the format asked for.
func (c *invocation) printToken(ctx context.Context, client *cli.Client) error {
	format := formatOf(c.given)
	if err := format.Check(c.Env); err != nil { // before a token is minted
		return err
	}
	if format.Name == "bearer" && c.conf.Native() {
		return &cli.UsageError{Problem: "--format bearer needs a token, not a native password",
			Fix: "choose another authentication type with --auth"}
	}
	if format.Roots && client.RootsErr != nil {
		return client.RootsErr
	}
	if _, err := c.Output().Write(nil); err != nil {
		return err
	}
	answer, err := c.answer(ctx, client, format.Workspace)
	if err != nil {
		return err
	}
	out, err := format.Render(answer, c.Env)
	if err != nil {
		return err
	}
	if out.AppendTo != "" {
		if err := appendFile(c.Env(out.AppendTo), out.Append); err != nil {
			return fmt.Errorf("%s: %w", out.AppendTo, err)
		}
	}
	_, err = c.Output().Write(out.Stdout)
	return err
}

// answer obtains a token of the workspace or of the database.
func (c *invocation) answer(ctx context.Context, client *cli.Client, workspace bool) (credformat.Answer, error) {
	if workspace {
		t, err := client.WorkspaceToken(ctx)
		return credformat.Answer{Password: t.Value, ExpiresAt: t.ExpiresAt}, err
	}
	s, err := client.Open(ctx)
	if err != nil {
		return credformat.Answer{}, err
	}
	return credformat.Answer{Host: s.Target.Host, Port: s.Target.Port, Database: s.Target.Database, User: s.Target.User,
		SSLMode: c.conf.ChildSSLMode.Value, SSLRootCert: s.Target.SSLRootCert, Password: s.Token.Value, ExpiresAt: s.Token.ExpiresAt}, nil
}

// appendFile appends to the file that the runner of a CI job made.
func appendFile(path string, text []byte) error {
	f, err := securefile.OpenRegular(path, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
