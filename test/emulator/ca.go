package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// certificateLife bounds the certificates of a run; the CA is not meant to be
// trusted for longer.
const certificateLife = 30 * 24 * time.Hour

// endingLife is what is left of a certificate under Settings.CertificateEnding.
const endingLife = 3 * 24 * time.Hour

// newCertificates returns a CA of its own as PEM, whose key is dropped, and two server
// certificates for DNS names and IP addresses, the second with endingLife left.
func newCertificates(names ...string) (ca []byte, certs [2]tls.Certificate, err error) {
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(random(15)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-certificateLife), NotAfter: time.Now().Add(certificateLife), KeyUsage: x509.KeyUsageDigitalSignature,
		}
	}
	issuer, leaf := template("local Lakebase CA"), template(names[0])
	issuer.IsCA, issuer.BasicConstraintsValid, issuer.MaxPathLenZero = true, true, true
	issuer.KeyUsage |= x509.KeyUsageCertSign
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, n)
		}
	}
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, certs, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, certs, err
	}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, &issuerKey.PublicKey, issuerKey)
	if err != nil {
		return nil, certs, err
	}
	for i := range certs {
		der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, &key.PublicKey, issuerKey)
		if err != nil {
			return nil, certs, err
		}
		certs[i] = tls.Certificate{Certificate: [][]byte{der, issuerDER}, PrivateKey: key}
		leaf.NotAfter = time.Now().Add(endingLife)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuerDER}), certs, nil
}

// serverCertificate returns what both servers present.
func (l *Lakebase) serverCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if l.Settings().CertificateEnding {
		return &l.certs[1], nil
	}
	return &l.certs[0], nil
}
