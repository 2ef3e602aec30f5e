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

// newCertificate returns a CA of its own as PEM, whose key is dropped, and a server
// certificate for DNS names and IP addresses.
func newCertificate(names ...string) (ca []byte, cert tls.Certificate, err error) {
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(random(15)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife), KeyUsage: x509.KeyUsageDigitalSignature,
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
		return nil, cert, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, cert, err
	}
	issuerDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, &issuerKey.PublicKey, issuerKey)
	if err != nil {
		return nil, cert, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, &key.PublicKey, issuerKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuerDER}),
		tls.Certificate{Certificate: [][]byte{der, issuerDER}, PrivateKey: key}, err
}
