package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const (
	browserTimeout   = 5 * time.Minute
	showAddressAfter = 2 * time.Second // on a terminal, if no browser has answered by then
	maxPastedLine    = 64 << 10        // an address is far shorter
)

// browserWait waits for the redirect of one login.
type browserWait struct {
	server    *auth.CallbackServer
	timeout   time.Duration
	showAfter time.Duration
	open      []func() error // open the address in a browser, in order of preference; nil with --no-browser
	show      func()         // shows the address to the user
	shown     bool
	paste     io.Reader // where the redirect can be pasted; nil: nowhere
	terminal  bool      // the user sees what show writes
	warn      func(error)
}

// waitForBrowser sends the user to address and waits for the redirect, to the server
// or pasted on standard input.
func (c *invocation) waitForBrowser(ctx context.Context, server *auth.CallbackServer, address string) (auth.Redirect, error) {
	noBrowser := c.given["no-browser"] != nil
	w := &browserWait{server: server, timeout: browserTimeout, showAfter: showAddressAfter, terminal: cli.Terminal(c.Stderr), shown: noBrowser}
	if noBrowser || cli.Terminal(c.Stdin) { // otherwise it may be a script's
		w.paste = c.Stdin
	}
	w.show = func() { c.showAddress(address, w.paste != nil) }
	w.warn = func(err error) { c.log.Warn("%s; still waiting for the login", err) }
	if noBrowser {
		w.show()
	} else {
		w.open = c.browsers(address)
	}
	return w.wait(ctx)
}

// showAddress writes the address on a line of its own, so that it can be copied, even
// with --quiet.
func (c *invocation) showAddress(address string, canPaste bool) {
	text := "to sign in, open this address in a browser:"
	if c.log.JSON() {
		cli.NewLogger(program, c.Stderr, config.LogNormal, true).Progress(text + " " + address)
		return
	}
	fmt.Fprintf(c.Stderr, "%s: %s\n\n  %s\n\n", program, text, sanitize.Escape(address))
	if canPaste {
		fmt.Fprintf(c.Stderr, "If the browser then cannot reach this machine, paste the address that it shows here, and press Enter.\n")
	}
}

func (w *browserWait) wait(ctx context.Context) (auth.Redirect, error) {
	ctx, stop := context.WithTimeoutCause(ctx, w.timeout, &auth.SourceError{Problem: fmt.Sprintf("no login within %s", w.timeout), Fix: "run it again, with --no-browser if the browser cannot reach this machine"})
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opened := make(chan error, 1)
	if !w.shown {
		go func() { opened <- w.openFirst() }()
	}
	if w.paste != nil {
		go w.readPasted(cancel)
	}
	done := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() { w.showWhenNeeded(done, opened, cancel) })
	defer showing.Wait()
	defer close(done)
	redirect, err := w.server.Wait(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return redirect, err
}

// showWhenNeeded shows the address if no browser can be started or none has answered
// in time. It cancels the wait if no browser can be started and no user would see the
// address.
func (w *browserWait) showWhenNeeded(done <-chan struct{}, opened <-chan error, cancel context.CancelCauseFunc) {
	if w.shown {
		return
	}
	var late <-chan time.Time
	if w.terminal {
		t := time.NewTimer(w.showAfter)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case <-done:
			return
		case err := <-opened:
			if err == nil {
				continue
			}
			if !w.terminal {
				cancel(&auth.SourceError{Problem: "cannot start a browser (" + err.Error() + "), and no terminal to show the address",
					Fix: "run it on a terminal; or with --no-browser, which writes the address to standard error and reads the one that the browser ends up at from standard input"})
				return
			}
		case <-late:
		}
		w.show()
		return
	}
}

// openFirst opens the address in the first browser that works.
func (w *browserWait) openFirst() error {
	err := errors.New("none found")
	for _, open := range w.open {
		if err = open(); err == nil {
			return nil
		}
	}
	return err
}

// readPasted reads lines until one is the redirect. The read cannot be stopped, and
// ends with the process.
func (w *browserWait) readPasted(cancel context.CancelCauseFunc) {
	lines := bufio.NewScanner(w.paste)
	lines.Buffer(nil, maxPastedLine)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		var denied *auth.DeniedError
		switch err := w.server.Paste(lines.Text()); {
		case err == nil:
			return
		case errors.As(err, &denied):
			cancel(err)
			return
		default:
			w.warn(err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		w.warn(err)
	}
}
