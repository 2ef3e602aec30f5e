package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func getCommand(c *call) *urfave.Command {
	return &urfave.Command{
		Name: "get", Category: categoryTokens, Usage: "print a database token",
		UsageText: program + " get [options]",
		Description: `Prints one document on stdout and nothing on stderr, or nothing on stdout, the
reason on stderr and an exit code. Takes at most ten seconds, does not read standard
input and never prompts. The printed expiry is one minute early.

Examples:
  lakebase-credential-helper get -p prod --format password
  eval "$(lakebase-credential-helper get -p prod --format env)"`,
		Flags: flags([]config.Setting{
			{Option: "format", Value: "FORMAT", Usage: strings.Join(allFormats(), ", "), Default: "json", Words: allFormats()},
			{Option: "wait", Value: "TIME", Usage: "also wait this long for a suspended compute to wake"},
		}, ofStart),
		Action: c.action(checkGet, get),
	}
}

// getLimit is what get takes at the most, --wait aside: the strictest caller
// (Bazel) gives a helper ten seconds.
const getLimit = 10 * time.Second

// Formats that need more than an answer.
const (
	formatWorkspace = "workspace-token"
	formatGitHub    = "github-env"
)

// allFormats lists what get --format takes.
func allFormats() []string { return append(credformat.Formats(), formatGitHub, formatWorkspace) }

// checkGet looks at get's own options before anything else is done.
func checkGet(given map[string][]string, in *config.Input) error {
	if f := given["format"]; f != nil && !slices.Contains(allFormats(), f[0]) {
		return &cli.UsageError{Problem: "--format: " + sanitize.Quote(f[0]) + " is not a format", Fix: "there are: " + strings.Join(allFormats(), ", ")}
	}
	// Here --wait is a time, and not the setting of that name, which is a word.
	in.Options = maps.Clone(in.Options)
	delete(in.Options, "wait")
	in.NoEndpoint = given["format"] != nil && given["format"][0] == formatWorkspace
	return nil
}

// get prints one token. Nobody is asked for anything: a locked keychain is an
// error at once.
func get(ctx context.Context, c *call) error {
	wait := time.Duration(0)
	if w := c.given["wait"]; w != nil {
		var err error
		if wait, err = config.ParseDuration(w[0], "--wait", time.Millisecond, time.Hour); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, getLimit+wait)
	defer cancel()
	c.conf.Wait.Value, c.conf.WaitTimeout.Value = config.WaitNever, wait
	if wait > 0 {
		c.conf.Wait.Value = config.WaitAuto
	}
	c.conf.Timeout.Value = min(c.conf.Timeout.Value, getLimit)
	b, err := c.Broker(c.conf, c.say, nil)
	if err != nil {
		return err
	}
	b.Secrets = c.QuietSecrets(c.Keychain(c.conf))
	text, err := c.answer(ctx, b)
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(text)
	return err
}

// answer gets a token and puts it into the form asked for.
func (c *call) answer(ctx context.Context, b *broker.Broker) ([]byte, error) {
	format := credformat.Formats()[0]
	if f := c.given["format"]; f != nil {
		format = f[0]
	}
	if format == formatWorkspace {
		t, err := b.WorkspaceToken(ctx)
		if err != nil {
			return nil, err
		}
		return credformat.WorkspaceToken(t.Value.Reveal(), t.ExpiresAt)
	}
	file := c.Env("GITHUB_ENV")
	if format == formatGitHub && file == "" {
		return nil, &config.Error{Name: "GITHUB_ENV", Problem: "is not set: --format github-env is for a step of GitHub Actions"}
	}
	info := c.Env("KUBERNETES_EXEC_INFO")
	if _, err := credformat.ExecVersion(info); format == "exec-credential" && err != nil {
		return nil, &config.Error{Name: "KUBERNETES_EXEC_INFO", Problem: err.Error()}
	}
	s, err := b.Ready(ctx)
	if err != nil {
		return nil, err
	}
	a := credformat.Answer{Host: s.Target.Host, Port: s.Target.Port, Database: s.Target.Database, User: s.Target.User,
		SSLMode: c.conf.ChildSSLMode.Value, SSLRootCert: s.Target.SSLRootCert, Password: s.Token.Value, ExpiresAt: s.Token.ExpiresAt}
	if format == formatGitHub {
		return gitHubEnv(a, file)
	}
	return credformat.Render(format, a, credformat.Context{ExecInfo: info})
}

// gitHubEnv appends to the runner's file and masks the token first thing after.
func gitHubEnv(a credformat.Answer, path string) ([]byte, error) {
	out, lines, err := credformat.GitHubEnv(a, "LAKEBASE_"+rand.Text())
	if err != nil {
		return nil, err
	}
	f, err := securefile.OpenRegular(path, os.O_WRONLY|os.O_APPEND)
	if err == nil {
		_, err = f.Write(lines)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return nil, fmt.Errorf("GITHUB_ENV: %w", err)
	}
	return out, nil
}
