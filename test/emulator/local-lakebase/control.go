package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// startControl serves ctl over a Unix socket in the emulator's directory, mode 0600. Each
// request is a form with the words of a command; the reply is the text that ctl prints,
// with status 400 for a bad command and 500 for one that failed.
func startControl(l *emulator.Lakebase, socket string) (*http.Server, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseForm()
		text, status := "", http.StatusOK
		if err == nil {
			text, err = control.Do(r.Context(), l, r.PostForm["word"])
		}
		if err != nil {
			text, status = err.Error(), http.StatusInternalServerError
		}
		if errors.Is(err, control.ErrUsage) {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})}
	go func() { _ = s.Serve(ln) }()
	return s, nil
}

// ctlTimeout bounds one ctl call; a suspend waits for Postgres to stop.
const ctlTimeout = time.Minute

// ctl sends one command to the running local-lakebase that --control, or the
// environment, names.
func ctl(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("ctl", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	socket := fs.String("control", os.Getenv(controlVar), "")
	if err := fs.Parse(args); err != nil {
		return fmt.Errorf("%w: ctl [--control PATH] COMMAND [WORD...]: %w", control.ErrUsage, err)
	}
	if *socket == "" {
		return fmt.Errorf("%w: neither --control nor %s is set", control.ErrUsage, controlVar)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", *socket)
	}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: ctlTimeout}).PostForm("http://control/", url.Values{"word": fs.Args()})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w%s", control.ErrUsage, bytes.TrimPrefix(text, []byte(control.ErrUsage.Error())))
	case resp.StatusCode != http.StatusOK:
		return errors.New(string(text))
	}
	_, err = out.Write(text)
	return err
}
