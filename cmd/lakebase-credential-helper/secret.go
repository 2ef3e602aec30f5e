package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Bounds of reading a secret.
const (
	maxSecret   = 4 << 10
	typeTimeout = 5 * time.Minute
	readTimeout = time.Minute
)

// secretReader returns a function that reads the secret: from .databrickscfg, a file,
// standard input, or the terminal without echo. A file is read at once, so that an
// error precedes all prompts.
func (c *invocation) secretReader() (func(context.Context) (credential.Secret, error), error) {
	file, stdin := c.given["secret-file"], c.given["secret-stdin"] != nil
	switch {
	case c.imported != nil:
		return func(context.Context) (credential.Secret, error) { return c.imported.Secret, nil }, nil
	case file != nil:
		s, err := c.ReadSecretFile(file[0])
		if err != nil {
			return nil, &auth.SecretFileError{From: config.Source{Origin: config.FromOption, Name: "--secret-file"}, Err: err}
		}
		return func(context.Context) (credential.Secret, error) { return s, nil }, nil
	case stdin && cli.Terminal(c.Stdin):
		return nil, &cli.UsageError{Problem: "standard input is a terminal, which would show the secret", Fix: "leave out --secret-stdin to be asked without echo"}
	case stdin:
		return c.stdinSecret, nil
	case !cli.Terminal(c.Stdin):
		return nil, &cli.UsageError{Problem: "no terminal to read the secret from", Fix: "give it with --secret-stdin or --secret-file PATH"}
	}
	return c.typedSecret, nil
}

func (c *invocation) stdinSecret(ctx context.Context) (credential.Secret, error) {
	text, err := withTimeout(ctx, readTimeout, func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.Stdin, maxSecret+1)) })
	if err != nil {
		return credential.Secret{}, fmt.Errorf("reading the secret from standard input: %w", err)
	}
	return checkSecret("--secret-stdin", text)
}

func (c *invocation) typedSecret(ctx context.Context) (credential.Secret, error) {
	in, ok := c.Stdin.(*os.File)
	if !ok {
		return credential.Secret{}, errors.New("standard input is not a file")
	}
	read, restore, err := readSecret(in, c.Stderr, fmt.Sprintf("Secret of client %s at %s (not shown): ", c.conf.ClientID.Value, c.conf.Workspace.Value.HostPort()))
	if err != nil {
		return credential.Secret{}, fmt.Errorf("asking for the secret on the terminal: %w", err)
	}
	text, err := withTimeout(ctx, typeTimeout, read)
	restore()
	fmt.Fprintln(c.Stderr)
	switch {
	case err != nil:
		return credential.Secret{}, fmt.Errorf("reading the secret from the terminal: %w", err)
	case len(bytes.TrimSpace(text)) == 0:
		return credential.Secret{}, &cli.NoAnswerError{Question: "secret", Fix: "run the command again and paste the secret, or give it with --secret-stdin or --secret-file PATH"}
	}
	return checkSecret("the secret", text)
}

// checkSecret trims space, and rejects what a secret cannot contain.
func checkSecret(where string, text []byte) (credential.Secret, error) {
	if len(text) > maxSecret {
		return credential.Secret{}, &config.Error{Name: where, Problem: fmt.Sprintf("is longer than %d bytes", maxSecret), Fix: "give only the secret"}
	}
	secret, err := credential.ParseSecret(string(text))
	var character *credential.CharacterError
	switch {
	case errors.As(err, &character):
		return credential.Secret{}, &config.Error{Name: where, Problem: "is not a secret: it " + err.Error(), Fix: character.Hint()}
	case err != nil:
		return credential.Secret{}, &config.Error{Name: where, Problem: "is empty", Fix: "give the secret that the workspace showed when it was created"}
	}
	return secret, nil
}

// withTimeout calls read and returns when the timeout is over; the read itself cannot be
// stopped, and ends with the process.
func withTimeout(ctx context.Context, timeout time.Duration, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no input within %s", timeout)
	}
}
