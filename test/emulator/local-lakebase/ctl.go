package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator/control"
)

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
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%w: %s", control.ErrUsage, strings.TrimPrefix(strings.TrimSpace(string(text)), "usage: "))
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s", strings.TrimSpace(string(text)))
	}
	_, err = out.Write(text)
	return err
}
