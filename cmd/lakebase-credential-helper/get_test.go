package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// An error that get's own limit ended names that limit, and keeps its exit code.
func TestGet_LimitNamed(t *testing.T) {
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	silent := &auth.NoSecretError{Host: "h", ClientID: "c", Err: &keychain.Error{Err: keychain.ErrTimeout, Detail: "timeout 10s"}}
	busy := &retry.Error{Attempts: 3, Cause: retry.CauseBudget, Last: errors.New("429")}
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		capped bool
		named  bool
	}{
		{"keychain", over, silent, false, true},
		{"keychain, by its own timeout", t.Context(), silent, true, false},
		{"workspace, --timeout was longer", t.Context(), busy, true, true},
		{"workspace, by --timeout", t.Context(), busy, false, false},
		{"lock", over, fmt.Errorf("waiting: %w", context.DeadlineExceeded), false, true},
		{"wake", over, &pglogin.Error{Kind: pglogin.WakeTimeout}, true, false},
	} {
		err := limitedByGet(c.ctx, c.err, c.capped, getLimit)
		message, hint := cli.Describe(err, config.Config{})
		if named := strings.HasPrefix(message, "get's time limit of 10s is over: ") && strings.Contains(hint, "--wait TIME"); named != c.named {
			t.Errorf("%s: got %q, %q", c.name, message, hint)
		}
		if cli.ExitCode(err) != cli.ExitCode(c.err) {
			t.Errorf("%s: got exit code %d, want %d", c.name, cli.ExitCode(err), cli.ExitCode(c.err))
		}
	}
	if limitedByGet(over, nil, true, getLimit) != nil {
		t.Error("got an error without one")
	}
}
