package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// host is where the facts log in: the endpoint's, as the programs would.
func (r *road) host() string {
	if h := r.conf.PGHost.Value; r.conf.PGHostTrusted() {
		return h
	}
	return r.endpoint.Status.Hosts.Host
}

func (r *road) address(host string) string {
	return net.JoinHostPort(host, strconv.Itoa(r.conf.PGPort.Value))
}

func (r *road) user() string {
	if r.conf.User.Value != "" {
		return r.conf.User.Value
	}
	return r.conf.ClientID.Value
}

// login logs in over verified TLS and asks who it is. The error is what the server
// said, as one line.
func (r *road) login(ctx context.Context, host string, password credential.Secret, binding string) (string, error) {
	cfg, err := pgconn.ParseConfig("host=x port=1 dbname=x user=x sslmode=require sslrootcert='' sslcert='' sslkey='' passfile='' channel_binding=" + binding)
	if err != nil {
		return "", err
	}
	cfg.Host, cfg.Port, cfg.Database, cfg.User = host, uint16(r.conf.PGPort.Value), r.conf.Database.Value, r.user()
	cfg.Password, cfg.Fallbacks = password.Reveal(), nil
	cfg.RuntimeParams = map[string]string{"application_name": "lakebase-exec-verify"}
	cfg.TLSConfig = &tls.Config{ServerName: host, RootCAs: r.roots, MinVersion: tls.VersionTLS12}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", errors.New(r.words(err))
	}
	defer conn.Close(ctx)
	res := conn.ExecParams(ctx, "select current_user || ' at ' || current_setting('server_version')", nil, nil, nil, nil).Read()
	if res.Err != nil || len(res.Rows) != 1 {
		return "", fmt.Errorf("the query failed: %w", res.Err)
	}
	return string(res.Rows[0][0]), nil
}

// words is what the server said of a login, without what pgconn adds.
func (r *road) words(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Sprintf("%s %s: %s %s", pg.Severity, pg.Code, pg.Message, pg.Detail)
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && strings.HasPrefix(text, "failed to connect to") {
		text = text[i+2:]
	}
	return text
}

// start connects, with TLS or without, sends the start-up message, and says what
// comes back. No password goes out.
func (r *road) start(ctx context.Context, cfg *tls.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", r.address(r.host()))
	if err != nil {
		return "", err
	}
	defer c.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(end)
	}
	if cfg != nil {
		encrypted, err := startTLS(ctx, c, cfg)
		if err != nil {
			return "", err
		}
		c = encrypted
	}
	front := pgproto3.NewFrontend(c, c)
	front.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": r.user(), "database": r.conf.Database.Value}})
	if err := front.Flush(); err != nil {
		return "", err
	}
	m, err := front.Receive()
	if err != nil {
		return "", err
	}
	switch m := m.(type) {
	case *pgproto3.AuthenticationCleartextPassword:
		return askedClear, nil
	case *pgproto3.ErrorResponse:
		return fmt.Sprintf("%s %s: %s %s", m.Severity, m.Code, m.Message, m.Detail), nil
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3."), nil
}

const askedClear = "it asks for the password in clear"

// startTLS asks for TLS and shakes hands.
func startTLS(ctx context.Context, c net.Conn, cfg *tls.Config) (net.Conn, error) {
	if _, err := c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, 80877103)); err != nil {
		return nil, err
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, err
	}
	if b[0] != 'S' {
		return nil, fmt.Errorf("it answers %q to the request for TLS", b[0])
	}
	t := tls.Client(c, cfg)
	return t, t.HandshakeContext(ctx)
}

// handshake shakes hands by these roots, nil for the system's, and says whose
// certificate it is.
func (r *road) handshake(ctx context.Context, roots *x509.CertPool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", r.address(r.host()))
	if err != nil {
		return "", err
	}
	defer c.Close()
	t, err := startTLS(ctx, c, &tls.Config{ServerName: r.host(), RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return "", err
	}
	state := t.(*tls.Conn).ConnectionState()
	leaf := state.PeerCertificates[0]
	return fmt.Sprintf("%s, signed by %s until %s", tls.VersionName(state.Version), leaf.Issuer, leaf.NotAfter.Format(time.DateOnly)), nil
}
