package main

import (
	"context"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/hook"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// get prints one token. Nobody is asked for anything: a locked keychain is an
// error at once.
func get(ctx context.Context, c *call) error {
	format := "json"
	if f := c.given["format"]; f != nil {
		format = f[0]
	}
	if format != "json" {
		return &cli.UsageError{Problem: "--format: " + config.Quote(format) + " is not a format", Fix: "there is: json"}
	}
	progress := cli.StartProgress(&cli.Say{Program: program, Out: c.Stderr, Level: config.LogQuiet}, false)
	defer progress.Stop()
	b, err := c.Broker(c.conf, c.say, progress)
	if err != nil {
		return err
	}
	b.Secrets = quiet{c.Keychain(c.conf)}
	s, err := b.Token(ctx)
	if err != nil {
		return err
	}
	s.Saved(ctx)
	text, err := hook.JSON(hook.Answer{Host: s.Target.Host, Port: s.Target.Port, Database: s.Target.Database, User: s.Target.User,
		SSLMode: c.conf.ChildSSLMode.V, Password: s.Token.Value, ExpiresAt: s.Token.ExpiresAt})
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(text)
	return err
}

// quiet is the keychain without its dialogs.
type quiet struct{ chain *keychain.Keychain }

func (q quiet) Get(ctx context.Context, account string) (credential.Secret, error) {
	return q.chain.Peek(ctx, account)
}
