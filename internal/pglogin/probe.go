package pglogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Peer is who answered. Names come from the peer's certificate, so they may hold
// any character: escape them before showing them.
type Peer struct {
	Address  string // IP and port; empty: nothing answered
	Version  string // "TLS 1.3"; empty: no handshake
	Subject  string
	Issuer   string // who signed; empty: no certificate was seen
	NotAfter time.Time
}

// Look adds what a certificate says.
func (p *Peer) Look(cert *x509.Certificate) {
	p.Subject, p.Issuer, p.NotAfter = sanitize.Line(cert.Subject.String()), sanitize.Line(cert.Issuer.String()), cert.NotAfter
}

// Handshake speaks TLS on c as cfg says. Where the peer's certificate is not
// trusted, Peer tells whose it is all the same.
func Handshake(ctx context.Context, c net.Conn, cfg *tls.Config) (Peer, error) {
	p := Peer{}
	if a := c.RemoteAddr(); a != nil {
		p.Address = a.String()
	}
	encrypted := tls.Client(c, cfg)
	err := encrypted.HandshakeContext(ctx)
	var wrong *tls.CertificateVerificationError
	switch state := encrypted.ConnectionState(); {
	case errors.As(err, &wrong) && len(wrong.UnverifiedCertificates) > 0:
		p.Look(wrong.UnverifiedCertificates[0])
	case err == nil:
		p.Version = tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			p.Look(state.PeerCertificates[0])
		}
	}
	return p, err
}

// Probe connects to the target, shakes hands by its TLS settings and closes: no
// password goes out, nobody logs in. Like Wait it tries until that works, a
// refusal is final or ctx, which must have a deadline, ends: to be connected to
// wakes a compute. The error is an *Error.
func (w *Waker) Probe(ctx context.Context, t Target) (Peer, error) {
	var mu sync.Mutex
	var last Peer // of the attempts that came through, the last
	_, err := w.walk(ctx, func() (try, error) {
		if err := t.check(); err != nil {
			return nil, err
		}
		cfg, err := t.tls(w.Trust)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (*Conn, error) {
			p, err := probe(ctx, t, cfg)
			if p != (Peer{}) {
				mu.Lock()
				last = p
				mu.Unlock()
			}
			return nil, err
		}, nil
	})
	return last, err
}

// probe makes one attempt.
func probe(ctx context.Context, t Target, cfg *tls.Config) (Peer, error) {
	host := t.Host
	if t.HostAddr != "" {
		host = t.HostAddr
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(t.Port)))
	if err != nil {
		return Peer{}, classify(ctx, err, nil, credential.Secret{})
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	w, p := &watched{Conn: c}, Peer{Address: c.RemoteAddr().String()}
	var answer [1]byte
	if _, err = w.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)); err == nil {
		_, err = io.ReadFull(w, answer[:])
	}
	if err == nil && answer[0] == 'S' {
		p, err = Handshake(ctx, w, cfg)
	}
	if err != nil || answer[0] != 'S' {
		return p, classify(ctx, err, w, credential.Secret{})
	}
	return p, nil
}
