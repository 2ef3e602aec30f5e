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

// How long a person has for the browser's part, and how long nothing is said to
// one at a terminal.
const (
	browserTime = 5 * time.Minute
	silence     = 2 * time.Second
)

// maxPastedLine bounds a line of standard input; an address is far shorter.
const maxPastedLine = 64 << 10

// encounter is the wait for one redirect.
type encounter struct {
	door    *auth.CallbackServer
	address string
	limit   time.Duration // for all of it
	silence time.Duration // until the address is shown at a terminal
	open    []func() error
	show    func() // the address, where anybody can see it
	shown   bool
	reads   io.Reader // where an address may be pasted; nil: nowhere
	watched bool      // a terminal shows what we write
	warn    func(error)
}

// atBrowser sends the person to the address, and waits for the redirect: at the
// door, or pasted on standard input.
func (c *call) atBrowser(ctx context.Context, door *auth.CallbackServer, address string) (auth.Redirect, error) {
	told := c.given["no-browser"] != nil
	e := &encounter{door: door, address: address, limit: browserTime, silence: silence, watched: cli.Terminal(c.Stderr)}
	if told || cli.Terminal(c.Stdin) { // else it is somebody's script or pipe, not ours to read
		e.reads = c.Stdin
	}
	e.show = func() { c.showAddress(address, e.reads != nil) }
	e.warn = func(err error) { c.say.Warn("%s; the login is still waited for", err) }
	if told {
		e.show()
		e.shown = true
	} else {
		e.open = c.browsers(address)
	}
	return e.wait(ctx)
}

// showAddress writes the address on a line of its own, so that it can be copied.
// It is needed, so --quiet does not silence it.
func (c *call) showAddress(address string, reads bool) {
	text := "to sign in, open this address in a browser:"
	if c.say.JSON() {
		cli.NewLogger(program, c.Stderr, config.LogNormal, true).Progress(text + " " + address)
		return
	}
	fmt.Fprintf(c.Stderr, "%s: %s\n\n  %s\n\n", program, text, sanitize.Escape(address))
	if reads {
		fmt.Fprintf(c.Stderr, "If the browser then cannot reach this machine, paste the address that it shows here, and press Enter.\n")
	}
}

// wait waits for whatever comes first.
func (e *encounter) wait(ctx context.Context) (auth.Redirect, error) {
	ctx, stop := context.WithTimeoutCause(ctx, e.limit, &cli.WayError{Problem: fmt.Sprintf("nobody has signed in within %s", e.limit), Fix: "run it again, with --no-browser if the browser cannot reach this machine"})
	defer stop()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	failed := make(chan error, 1)
	if !e.shown {
		go func() { failed <- e.tryAll() }()
	}
	if e.reads != nil {
		go e.read(end)
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { e.watch(done, failed, end) })
	defer watching.Wait()
	defer close(done)
	redirect, err := e.door.Wait(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return redirect, err
}

// watch shows the address when it is needed, or ends the wait where nobody would
// see it.
func (e *encounter) watch(done <-chan struct{}, failed <-chan error, end context.CancelCauseFunc) {
	if e.shown {
		return
	}
	var late <-chan time.Time
	if e.watched {
		t := time.NewTimer(e.silence)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-done:
		return
	case <-late:
	case err := <-failed:
		if err == nil {
			select {
			case <-done:
				return
			case <-late: // never, without a terminal
			}
		} else if !e.watched {
			end(&cli.WayError{Problem: "no browser can be started here (" + err.Error() + "), and there is no terminal to show the address on",
				Fix: "run it on a terminal; or with --no-browser, which writes the address to standard error and reads the one that the browser ends up at from standard input"})
			return
		}
	}
	e.show()
}

// errNoBrowser says that there is nothing to start.
var errNoBrowser = errors.New("there is none")

// tryAll starts the first browser that takes the address.
func (e *encounter) tryAll() error {
	err := errNoBrowser
	for _, open := range e.open {
		if err = open(); err == nil {
			return nil
		}
	}
	return err
}

// read takes lines until one is the redirect. The read itself cannot be stopped,
// and ends with the process.
func (e *encounter) read(end context.CancelCauseFunc) {
	lines := bufio.NewScanner(e.reads)
	lines.Buffer(nil, maxPastedLine)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		var denied *auth.DeniedError
		switch err := e.door.Paste(lines.Text()); {
		case err == nil:
			return
		case errors.As(err, &denied):
			end(err)
			return
		default:
			e.warn(err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		e.warn(err)
	}
}
