package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Bounds of reading a secret.
const (
	maxSecret   = 4 << 10
	typingTime  = 5 * time.Minute
	readingTime = time.Minute
)

// secretReader says how the secret is to be had: from a file, which is read at
// once, from standard input, .databrickscfg, or the terminal without echo. What is
// wrong with the options is found here, before anybody is asked for anything.
func (c *call) secretReader() (func(context.Context) (credential.Secret, error), error) {
	file, stdin := c.given["secret-file"], c.given["secret-stdin"] != nil
	switch {
	case c.taken != nil:
		return func(context.Context) (credential.Secret, error) { return c.taken.Secret, nil }, nil
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
		return nil, &cli.UsageError{Problem: "there is no terminal to ask for the secret on", Fix: "give it with --secret-stdin or --secret-file PATH"}
	}
	return c.typedSecret, nil
}

func (c *call) stdinSecret(ctx context.Context) (credential.Secret, error) {
	text, err := within(ctx, readingTime, func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.Stdin, maxSecret+1)) })
	if err != nil {
		return credential.Secret{}, fmt.Errorf("reading the secret from standard input: %w", err)
	}
	return checkSecret("--secret-stdin", text)
}

func (c *call) typedSecret(ctx context.Context) (credential.Secret, error) {
	in, ok := c.Stdin.(*os.File)
	if !ok {
		return credential.Secret{}, errors.New("standard input is no file")
	}
	fd := int(in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return credential.Secret{}, err
	}
	stop := cli.RestoreOnSignal(func() { _ = term.Restore(fd, state) })
	defer stop()
	go func() {
		awaitSilence(fd, state)
		fmt.Fprintf(c.Stderr, "Secret of client %s at %s (not shown): ", c.conf.ClientID.Value, c.conf.Workspace.Value.HostPort())
	}()
	text, err := within(ctx, typingTime, func() ([]byte, error) { return term.ReadPassword(fd) })
	_ = term.Restore(fd, state)
	fmt.Fprintln(c.Stderr)
	if err != nil {
		return credential.Secret{}, fmt.Errorf("reading the secret from the terminal: %w", err)
	}
	return checkSecret("the secret", text)
}

// awaitSilence returns when the terminal's state is no longer what it was, at the
// latest after a second: nobody is asked for a secret while it would be shown.
func awaitSilence(fd int, before *term.State) {
	for range 1000 {
		if now, err := term.GetState(fd); err != nil || !reflect.DeepEqual(now, before) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// checkSecret trims what pasting adds, and refuses what no secret has.
func checkSecret(where string, text []byte) (credential.Secret, error) {
	s := strings.TrimSpace(string(text))
	switch {
	case s == "":
		return credential.Secret{}, &config.Error{Name: where, Problem: "is empty", Fix: "give the secret that the workspace showed when it was made"}
	case len(text) > maxSecret:
		return credential.Secret{}, &config.Error{Name: where, Problem: fmt.Sprintf("is longer than %d bytes", maxSecret)}
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return credential.Secret{}, &config.Error{Name: where, Problem: "has a space, a line end or a control character in it", Fix: "give the secret alone"}
	}
	return credential.NewSecret(s), nil
}

// within gives up on read when its time is over; the read itself cannot be
// stopped, and ends with the process.
func within(ctx context.Context, limit time.Duration, read func() ([]byte, error)) ([]byte, error) {
	type answer struct {
		text []byte
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("nothing was given in %s", limit)
	}
}
