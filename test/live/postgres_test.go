package live

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// databaseHost returns the host that the programs would use.
func (w *workspace) databaseHost() string {
	if w.conf.PGHostTrusted() {
		return w.conf.PGHost.Value
	}
	return w.host
}

func (w *workspace) user() string {
	if w.conf.User.Value != "" {
		return w.conf.User.Value
	}
	return w.conf.ClientID.Value
}

func (w *workspace) tls() *tls.Config {
	return &tls.Config{ServerName: w.databaseHost(), RootCAs: w.roots, MinVersion: tls.VersionTLS12}
}

// login logs in over verified TLS and returns the current user. The error is what the
// server said.
func (w *workspace) login(ctx context.Context, host string, password credential.Secret, binding string) (string, error) {
	cfg, err := pgconn.ParseConfig("host=x port=1 dbname=x user=x sslmode=require sslrootcert='' sslcert='' sslkey='' passfile='' channel_binding=" + binding)
	if err != nil {
		return "", err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User = host, uint16(w.conf.PGPort.Value), w.conf.Database.Value, w.user()
	cfg.Password, cfg.Fallbacks, cfg.TLSConfig = password.Reveal(), nil, w.tls()
	cfg.TLSConfig.ServerName = host
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return "", fmt.Errorf("%s %s: %s %s", pg.Severity, pg.Code, pg.Message, pg.Detail)
	}
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	res := conn.ExecParams(ctx, "select current_user", nil, nil, nil, nil).Read()
	if res.Err != nil || len(res.Rows) != 1 {
		return "", fmt.Errorf("the query failed: %w", res.Err)
	}
	return string(res.Rows[0][0]), nil
}

// startTLS connects and completes the TLS handshake, or without cfg only connects.
func (w *workspace) startTLS(ctx context.Context, cfg *tls.Config) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(w.databaseHost(), strconv.Itoa(w.conf.PGPort.Value)))
	if err != nil || cfg == nil {
		return c, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var answer [1]byte
	if _, err = c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 80877103)); err == nil {
		_, err = io.ReadFull(c, answer[:])
	}
	if err == nil && answer[0] != 'S' {
		err = fmt.Errorf("got %q for the request for TLS", answer[0])
	}
	encrypted := tls.Client(c, cfg)
	if err == nil {
		err = encrypted.HandshakeContext(ctx)
	}
	if err != nil {
		_ = c.Close()
	}
	return encrypted, err
}

const asksForPassword = "it asks for the password in clear text"

// startup sends the startup message, with TLS if cfg is not nil, and describes the
// answer. It sends no password.
func (w *workspace) startup(ctx context.Context, cfg *tls.Config) (string, error) {
	c, err := w.startTLS(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	front := pgproto3.NewFrontend(c, c)
	front.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": w.user(), "database": w.conf.Database.Value}})
	if err := front.Flush(); err != nil {
		return "", err
	}
	m, err := front.Receive()
	if err != nil {
		return "", err
	}
	switch m := m.(type) {
	case *pgproto3.AuthenticationCleartextPassword:
		return asksForPassword, nil
	case *pgproto3.ErrorResponse:
		return fmt.Sprintf("%s %s: %s %s", m.Severity, m.Code, m.Message, m.Detail), nil
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."), nil
}
