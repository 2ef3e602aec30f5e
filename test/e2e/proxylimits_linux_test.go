package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// connectTo connects to a proxy without TLS.
func connectTo(l *emulator.Lakebase, address, password string) (*pgconn.PgConn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=disable passfile=/none", host, port, l.ClientID, password, emulator.Database))
}

// TestProxyLimits_PoolOnSuspendedCompute opens all connections of a pool at once while
// the compute is suspended.
func TestProxyLimits_PoolOnSuspendedCompute(t *testing.T) {
	t.Parallel()
	const pool = 110 // the emulator's Postgres allows 120
	l := startLakebase(t, emulator.Options{})
	p := newSandbox(t, l)
	file := write(t, filepath.Join(t.TempDir(), "password"), "sesame\n")
	o := p.proxy("--listen", "127.0.0.1:0", "--password-file", file, "--max-connections", fmt.Sprint(pool))
	suspend(t, l, emulator.Held, time.Second)
	var all sync.WaitGroup
	conns := make([]*pgconn.PgConn, pool)
	for i := range conns {
		all.Go(func() {
			var err error
			if conns[i], err = connectTo(l, o.address, "sesame"); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	all.Wait()
	_, err := connectTo(l, o.address, "sesame")
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "53300" || !strings.Contains(refused.Hint, "--max-connections") {
		t.Errorf("one connection more: got %v, want 53300 with a hint that names --max-connections", err)
	}
	for _, c := range conns {
		if c != nil {
			_ = c.Close(t.Context())
		}
	}
	o.term()
}
