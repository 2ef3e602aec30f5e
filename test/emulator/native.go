package emulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// NativeRole creates a Postgres role that logs in with a password, or changes its password,
// and returns the password. It has the shape of a token, so that checks for those find it too. A
// sleeping server is started, and stays up.
func (l *Lakebase) NativeRole(ctx context.Context, name string) (string, error) {
	known, err := l.SQL(ctx, "SELECT 1 FROM pg_roles WHERE rolname = "+literal(name))
	if err == nil && len(known) == 0 {
		err = l.compute.server.createRoles(ctx, name)
	}
	if err != nil {
		return "", err
	}
	password := "eyJ" + cryptorand.Text() + "." + cryptorand.Text()
	_, err = l.SQL(ctx, `ALTER ROLE "`+strings.ReplaceAll(name, `"`, `""`)+`" PASSWORD `+literal(password))
	return password, err
}

// literal quotes a text without backslashes for SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// verifier returns the SCRAM verifier of a role's password, "SCRAM-SHA-256$4096:SALT$STORED:SERVER"
// (PostgreSQL manual, pg_authid); empty for a role without one, and while native login is
// not enabled.
func (g *gateway) verifier(user string) (string, error) {
	if !g.settings.get().NativeLogin {
		return "", nil
	}
	rows, err := g.compute.server.query(g.ctx, "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = "+literal(user))
	if err != nil {
		return "", noCompute
	}
	if len(rows) == 0 || !strings.HasPrefix(rows[0][0], scram+"$") {
		return "", nil
	}
	return rows[0][0], nil
}

const (
	scram     = "SCRAM-SHA-256"
	scramPlus = "SCRAM-SHA-256-PLUS"
)

// scramLogin logs a client in by its password (RFC 5802; RFC 5929 for tls-server-end-point).
// next receives the client's messages.
func (g *gateway) scramLogin(c net.Conn, user, verifier string, next func() ([]byte, error)) error {
	refused := &refusal{"FATAL", "28P01", "password authentication failed for user '" + user + "'", ""}
	var iterations, salt, stored, server string
	fields := strings.FieldsFunc(verifier, func(r rune) bool { return r == '$' || r == ':' })
	for i, into := range []*string{new(string), &iterations, &salt, &stored, &server} {
		*into = fields[i]
	}
	if err := send(c, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{scramPlus, scram}}); err != nil {
		return err
	}
	data, err := next()
	if err != nil {
		return err
	}
	var initial pgproto3.SASLInitialResponse
	if initial.Decode(data) != nil {
		return errProtocol
	}
	header, bare, ok := cutHeader(string(initial.Data))
	binding := []byte(header)
	switch bound := strings.HasPrefix(header, "p=tls-server-end-point"); {
	case !ok || bound != (initial.AuthMechanism == scramPlus) || strings.HasPrefix(header, "y"): // it was told that we have the former
		return errProtocol
	case bound:
		cert, _ := g.tls.GetCertificate(nil)
		sum := sha256.Sum256(cert.Certificate[0])
		binding = append(binding, sum[:]...)
	}
	_, nonce, _ := strings.Cut(bare, ",r=")
	nonce += newOpaque()
	first := "r=" + nonce + ",s=" + salt + ",i=" + iterations
	if err := send(c, &pgproto3.AuthenticationSASLContinue{Data: []byte(first)}); err != nil {
		return err
	}
	if data, err = next(); err != nil {
		return err
	}
	without, proof, _ := strings.Cut(string(data), ",p=")
	if without != "c="+base64.StdEncoding.EncodeToString(binding)+",r="+nonce {
		return refused
	}
	mac := func(key string) []byte {
		raw, _ := base64.StdEncoding.DecodeString(key)
		h := hmac.New(sha256.New, raw)
		h.Write([]byte(bare + "," + first + "," + without))
		return h.Sum(nil)
	}
	key, _ := base64.StdEncoding.DecodeString(proof)
	if len(key) != sha256.Size {
		return refused
	}
	subtle.XORBytes(key, key, mac(stored))
	if sum := sha256.Sum256(key); base64.StdEncoding.EncodeToString(sum[:]) != stored {
		return refused
	}
	g.record.count(func(n *Counters) {
		n.Scram++
		if initial.AuthMechanism == scramPlus {
			n.ScramPlus++
		}
	})
	return send(c, &pgproto3.AuthenticationSASLFinal{Data: fmt.Appendf(nil, "v=%s", base64.StdEncoding.EncodeToString(mac(server)))})
}

// cutHeader splits the client's first message behind its GS2 header, "n,,".
func cutHeader(first string) (header, bare string, ok bool) {
	flag, rest, ok1 := strings.Cut(first, ",")
	identity, bare, ok2 := strings.Cut(rest, ",")
	return flag + "," + identity + ",", bare, ok1 && ok2
}

// cleartext returns the password of a client that was asked for it.
func cleartext(data []byte) string { return string(bytes.TrimSuffix(data, []byte{0})) }
