package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// frontServer is in front of the workspace or the compute. Its modes:
//
//	reset           each connection, before a byte
//	plain           it answers without TLS: HTTP, or "N" to Postgres' request for it
//	raw             it sends raw before TLS and closes
//	raw TLS         the same over valid TLS, once the client has sent something
//	expired, other name   what is wrong with its certificate
type frontServer struct {
	mode     string
	raw      string
	postgres bool
	tls      *tls.Config
	running  sync.WaitGroup
}

// startFrontServer returns the server's address, and the CA that makes its
// certificate a valid one where the mode has one.
func startFrontServer(t *testing.T, s *frontServer) (address string, ca []byte) {
	t.Helper()
	ca = s.certify(t)
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	must(t, err)
	s.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				defer stop()
				defer c.Close()
				s.serve(ctx, c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); s.running.Wait() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return "localhost:" + port, ca
}

// certify makes the certificate of the mode, and returns its CA.
func (s *frontServer) certify(t *testing.T) []byte {
	t.Helper()
	now := time.Now()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca, leaf := template("CA of the fault tests"), template("front server")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, issuerKey.Public(), issuerKey)
	must(t, err)
	leaf.DNSNames, leaf.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	s.tls = &tls.Config{NextProtos: []string{"http/1.1"}}
	if s.postgres {
		s.tls.NextProtos = []string{"postgresql"}
	}
	switch s.mode {
	case "expired":
		leaf.NotAfter = now.Add(-time.Minute)
	case "other name":
		leaf.DNSNames = []string{"other.example.test"}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), issuerKey)
	must(t, err)
	s.tls.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}

func (s *frontServer) serve(ctx context.Context, c *net.TCPConn) {
	_ = c.SetDeadline(time.Now().Add(limit))
	if s.mode == "reset" {
		_ = c.SetLinger(0)
		return
	}
	if s.postgres { // the request for TLS
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return
		}
	}
	switch {
	case s.mode == "raw":
		send(c, c, s.raw)
		return
	case s.mode == "plain" && s.postgres:
		send(c, c, "N")
		return
	case s.mode == "plain":
		send(c, c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		return
	case s.postgres:
		if _, err := c.Write([]byte("S")); err != nil {
			return
		}
	}
	secure := tls.Server(c, s.tls)
	if secure.HandshakeContext(ctx) != nil {
		return
	}
	if _, err := secure.Read(make([]byte, 4096)); err == nil {
		send(secure, c, s.raw)
	}
}

// send writes text, ends in good order, and waits until the client has left.
func send(c interface {
	io.Writer
	CloseWrite() error
}, raw net.Conn, text string) {
	_, _ = io.WriteString(c, text)
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, raw)
}
