package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

// server serves ctl over a Unix socket in the emulator's directory, mode 0600.
type server struct {
	l      *emulator.Lakebase
	server *http.Server
	done   sync.WaitGroup
}

// command is one ctl call: its words, without "ctl" and --control.
type command struct {
	Words []string `json:"words"`
}

func startControl(l *emulator.Lakebase, socket string) (*server, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	c := &server{l: l}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	c.done.Go(func() { _ = c.server.Serve(ln) })
	return c, nil
}

// Close ends the control server.
func (c *server) Close() error {
	err := c.server.Close()
	c.done.Wait()
	return err
}

// ServeHTTP answers POST / with the text that ctl prints: 400 for a bad command,
// 500 for one that failed.
func (c *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var cmd command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&cmd); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text, err := control.Do(r.Context(), c.l, cmd.Words)
	switch {
	case errors.Is(err, control.ErrUsage):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		_, _ = io.WriteString(w, text)
	}
}
