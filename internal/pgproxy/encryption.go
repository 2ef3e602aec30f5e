package pgproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// negotiate reads packets until one is a startup or a cancel request, and enables TLS
// if the client requests it. It may request each kind of encryption once, TLS last.
func (s *session) negotiate() (packet, error) {
	for requests := 0; ; requests++ {
		first, err := s.readPacket()
		if err != nil || first.code != codeSSL && first.code != codeGSS {
			return first, err
		}
		if requests == 2 || s.conn != s.sock {
			return first, unsupported(first.code)
		}
		if len(s.buf) > 0 { // an attacker may have inserted it (CVE-2021-23214)
			return first, violation("received unencrypted data after a request for encryption")
		}
		answer := "N"
		if _, unix := s.sock.(*net.UnixConn); first.code == codeSSL && !unix {
			answer = "S"
		}
		if _, err = s.conn.Write([]byte(answer)); err == nil && answer == "S" {
			err = s.enableTLS()
		}
		if err != nil {
			return first, err
		}
	}
}

// enableTLS performs the server's side of the TLS handshake.
func (s *session) enableTLS() error {
	config, err := s.p.tls()
	if err != nil {
		return err
	}
	conn := tls.Server(s.sock, config)
	if err := conn.Handshake(); err != nil {
		return err
	}
	s.conn = conn
	return nil
}

// newTLSConfig makes a self-signed certificate, whose key is never stored. It provides
// encryption to clients that require it, but proves no identity.
func newTLSConfig() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-24 * time.Hour), // the clock may be set back
		NotAfter:     time.Now().AddDate(10, 0, 0),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:                  tls.VersionTLS12,
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true, // small records cost bulk transfers more than they save
	}, nil
}
