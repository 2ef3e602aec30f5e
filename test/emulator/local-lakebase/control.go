package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// command is one ctl call: its words, without "ctl" and --control.
type command struct {
	Words []string `json:"words"`
}

// startControl serves ctl over a Unix socket in the emulator's directory, mode 0600.
func startControl(l *emulator.Lakebase, socket string) (*http.Server, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(l, w, r) })}
	go func() { _ = s.Serve(ln) }()
	return s, nil
}

// answer answers POST / with the text that ctl prints: 400 for a bad command, 500 for
// one that failed.
func answer(l *emulator.Lakebase, w http.ResponseWriter, r *http.Request) {
	var cmd command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&cmd); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := control.Do(r.Context(), l, cmd.Words)
	switch {
	case errors.Is(err, control.ErrUsage):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		_, _ = io.WriteString(w, text)
	}
}

// ctlTimeout bounds one ctl call; a suspend waits for Postgres to stop.
const ctlTimeout = time.Minute

// ctl sends one command to the running local-lakebase that --control, or the
// environment, names.
func ctl(args []string, out io.Writer) error {
	socket := os.Getenv(controlVar)
	if len(args) > 0 && strings.HasPrefix(args[0], "--control") {
		name, value, joined := strings.Cut(args[0], "=")
		args = args[1:]
		if !joined && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		if name != "--control" || value == "" {
			return fmt.Errorf("%w: --control PATH", control.ErrUsage)
		}
		socket = value
	}
	if socket == "" {
		return fmt.Errorf("%w: neither --control nor %s is set", control.ErrUsage, controlVar)
	}
	body, err := json.Marshal(command{Words: args})
	if err != nil {
		return err
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: ctlTimeout}).Post("http://control/", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	switch line := strings.TrimSpace(string(text)); {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", control.ErrUsage, strings.TrimPrefix(line, "usage: "))
	case resp.StatusCode != http.StatusOK:
		return errors.New(line)
	}
	_, err = out.Write(text)
	return err
}
