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
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// doorModes is what may stand in front of the workspace or the compute:
//
//	closed          nobody listens there
//	nowhere         its name has no address
//	reset, close    each connection, before a byte
//	silent          each connection is taken, and nothing ever said
//	no-tls          it answers in plain: HTTP, or "N" to the request for TLS
//	raw BYTES       it says these before TLS, and closes
//	tls-raw BYTES   the same over sound TLS, after the client has said something
//	tls-silent      sound TLS, and then nothing
//	old-tls         it knows TLS 1.1 at most
//	client-cert     it wants a certificate of the client
//	expired, early, wrong-name, unknown-issuer, self-signed, client-only
//	                its certificate: past, not yet valid, for another name, of an
//	                authority that nobody trusts, of none, for clients alone
//	good            a sound one; what it hears it passes on
var doorModes = strings.Fields("closed nowhere reset close silent no-tls raw tls-raw tls-silent old-tls client-cert " +
	"expired early wrong-name unknown-issuer self-signed client-only good")

// frontDoor stands in front of one of the Lakebase's two servers.
type frontDoor struct {
	mode    string
	bytes   string
	compute bool
	behind  string // the server's own address
	roots   *x509.CertPool
	tls     *tls.Config
	ln      net.Listener
	ctx     context.Context
	serving sync.WaitGroup
}

// open puts a door up, and the program's environment before it. It returns the
// roots that make its certificate a sound one, as far as it is.
func (s *matrixStage) open(words []string) []byte {
	s.t.Helper()
	d := &frontDoor{compute: words[0] == "compute", mode: words[1], behind: net.JoinHostPort("127.0.0.1", s.base.PGPort()), roots: x509.NewCertPool()}
	if len(words) == 3 {
		d.bytes = s.expanded(words[2])
	}
	if !d.compute {
		d.behind = strings.TrimPrefix(s.base.WorkspaceURL(), "https://")
	}
	roots := d.certify(s.t)
	ca, err := os.ReadFile(s.base.CAFile())
	s.must(err)
	d.roots.AppendCertsFromPEM(ca)
	host, port := "localhost", "1" // where nobody listens
	switch d.mode {
	case "nowhere":
		host = "no-such-host.invalid"
	case "closed":
	default:
		ctx, cancel := context.WithCancel(context.Background())
		d.ctx = ctx
		d.ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		s.must(err)
		_, port, _ = net.SplitHostPort(d.ln.Addr().String())
		d.serving.Go(d.accept)
		s.t.Cleanup(func() { cancel(); _ = d.ln.Close(); d.serving.Wait() })
	}
	if d.compute {
		s.env["PGPORT"] = port
		if host != "localhost" { // only an option is taken for granted
			s.more = []string{"--pghost", host}
		}
	} else {
		s.env["DATABRICKS_HOST"] = "https://" + net.JoinHostPort(host, port)
	}
	return roots
}

// certify makes the certificate that the mode asks for.
func (d *frontDoor) certify(t *testing.T) []byte {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	ca := template("an authority of the matrix")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	fail(err)
	leaf := template("a door")
	leaf.DNSNames, leaf.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	issuer, issuerKey := ca, caKey
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	switch d.mode {
	case "expired":
		leaf.NotAfter = now.Add(-time.Minute)
	case "early":
		leaf.NotBefore = now.Add(30 * time.Minute)
	case "wrong-name":
		leaf.DNSNames = []string{"other.example.test"}
	case "client-only":
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case "self-signed":
		issuer, issuerKey = leaf, key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), issuerKey)
	fail(err)
	d.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"http/1.1"}}
	switch d.mode {
	case "old-tls":
		d.tls.MinVersion, d.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case "client-cert":
		d.tls.ClientAuth = tls.RequireAnyClientCert
	case "unknown-issuer", "self-signed":
		return nil
	}
	if d.compute {
		d.tls.NextProtos = []string{"postgresql"}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}

func (d *frontDoor) accept() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			return
		}
		d.serving.Go(func() {
			stop := context.AfterFunc(d.ctx, func() { _ = c.Close() })
			defer stop()
			defer c.Close()
			d.serve(c)
		})
	}
}

// serve handles one connection as far as the mode goes.
func (d *frontDoor) serve(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(limit))
	switch d.mode {
	case "close":
		d.say(c, c, "")
		return
	case "reset":
		_ = c.(*net.TCPConn).SetLinger(0)
		return
	case "silent":
		_, _ = io.Copy(io.Discard, c)
		return
	}
	if d.compute {
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil { // the request for TLS
			return
		}
	}
	switch {
	case d.mode == "raw":
		d.say(c, c, d.bytes)
		return
	case d.mode == "no-tls" && d.compute:
		d.say(c, c, "N")
		return
	case d.mode == "no-tls":
		d.say(c, c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		return
	case d.compute:
		if _, err := c.Write([]byte("S")); err != nil {
			return
		}
	}
	secure := tls.Server(c, d.tls)
	if secure.HandshakeContext(d.ctx) != nil {
		return
	}
	switch d.mode {
	case "tls-silent":
		_, _ = io.Copy(io.Discard, secure)
	case "tls-raw":
		if _, err := secure.Read(make([]byte, 4096)); err == nil {
			d.say(secure, c, d.bytes)
		}
	default:
		_ = d.pass(secure)
	}
}

// say writes, ends in good order, and waits for the client to leave.
func (d *frontDoor) say(c, raw net.Conn, text string) {
	_, _ = io.WriteString(c, text)
	_ = c.(interface{ CloseWrite() error }).CloseWrite()
	_, _ = io.Copy(io.Discard, raw)
}

// pass joins the client to the server behind, over TLS there too.
func (d *frontDoor) pass(client net.Conn) error {
	raw, err := (&net.Dialer{}).DialContext(d.ctx, "tcp", d.behind)
	if err != nil {
		return err
	}
	defer raw.Close()
	if d.compute {
		answer := make([]byte, 1)
		if _, err = raw.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err == nil {
			_, err = io.ReadFull(raw, answer)
		}
		if err != nil || answer[0] != 'S' {
			return errors.Join(err, errors.New("no TLS behind the door"))
		}
	}
	server := tls.Client(raw, &tls.Config{ServerName: "localhost", RootCAs: d.roots, NextProtos: d.tls.NextProtos})
	d.serving.Go(func() { _, _ = io.Copy(server, client); _ = raw.Close() })
	_, err = io.Copy(client, server)
	return err
}
