// Package rootcerts finds root certificates: the bundle that the database login and
// the child use, and the roots that verify the workspace. It never weakens
// verification, and never trusts more than the one bundle it was given.
package rootcerts

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// maxBundle bounds a bundle's size in bytes. The system's has some 200 KB.
const maxBundle = 8 << 20

// systemBundles are the files in which systems keep their root certificates (Go,
// crypto/x509 root_linux.go and root_bsd.go).
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/tls/cacert.pem",                           // OpenELEC
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
	"/etc/ssl/cert.pem",                                 // Alpine, OpenBSD, macOS
	"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
	"/usr/local/share/certs/ca-root-nss.crt",            // FreeBSD, DragonFly
	"/etc/openssl/certs/ca-certificates.crt",            // NetBSD
}

// platformVerifies reports whether the system has a verifier and a store of its own.
const platformVerifies = runtime.GOOS == "windows" || runtime.GOOS == "darwin"

// Finder finds bundles of root certificates.
type Finder struct {
	SSLCertFile string                 // SSL_CERT_FILE; empty if it is not set
	System      []string               // candidates; nil for the platform's own
	CacheDir    func() (string, error) // returns the user's cache directory, for Mozilla's roots
}

// Error is a bundle that cannot be used. Err names its file.
type Error struct{ Err error }

func (e *Error) Error() string { return fmt.Sprintf("certificates in %v", e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *Error) Hint() string {
	return cmp.Or(securefile.FaultHint(e.Err, ""),
		"pass a PEM file of root certificates with --sslrootcert, --cacert or SSL_CERT_FILE")
}

// WriteError reports that a file of root certificates is needed, the system has
// none, and the built-in roots could not be written to one.
type WriteError struct{ Err error }

func (e *WriteError) Error() string {
	return fmt.Sprintf("the system has no root certificates, and the built-in ones could not be written to a file: %v", e.Err)
}
func (e *WriteError) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *WriteError) Hint() string {
	return "pass a PEM file of root certificates with --sslrootcert (PGSSLROOTCERT) or SSL_CERT_FILE, " +
		"or give this user a cache directory that can be written"
}

// BuiltIn is the path that selects the built-in roots. Load takes it; other
// programs do not. It is no absolute path, as those of Bundle are.
const BuiltIn = "built-in"

// Bundle returns the absolute path of the roots that verify the database: path if
// it is not empty, else SSL_CERT_FILE, else the system's bundle, else Mozilla's
// roots, which it writes to the cache directory. It never returns libpq's keyword
// "system", which libpq before 16 takes for a file name. from is what named path.
// Errors: *Error, *WriteError.
func (f Finder) Bundle(path, from string) (string, error) {
	if path == "" {
		path, from = f.SSLCertFile, "SSL_CERT_FILE"
	}
	if path == "" {
		if path = f.system(); path != "" {
			return path, nil
		}
		return f.writeMozillaRoots()
	}
	if err := Check(path, from); err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func (f Finder) system() string {
	list := f.System
	if list == nil && runtime.GOOS != "windows" { // where any user may be able to create these
		list = systemBundles
	}
	for _, path := range list {
		if file, err := securefile.OpenRegular(path, os.O_RDONLY); err == nil {
			_ = file.Close()
			return path
		}
	}
	return ""
}

// writeMozillaRoots writes the roots that this program contains to a file. Its name
// contains their digest, so that the file of another release is not used.
func (f Finder) writeMozillaRoots() (string, error) {
	cache, err := f.CacheDir()
	if err != nil {
		return "", &WriteError{err}
	}
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file cannot say "not for certificates after …"
		}
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	sum := sha256.Sum256(text.Bytes())
	dir := filepath.Join(cache, "lakebase")
	path := filepath.Join(dir, "roots-"+hex.EncodeToString(sum[:8])+".pem")
	if have, err := read(path); err == nil && bytes.Equal(have, text.Bytes()) {
		return path, nil
	}
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = securefile.ReplaceFile(path, text.Bytes())
	}
	if err != nil {
		return "", &WriteError{err}
	}
	return path, nil
}

// Workspace returns the roots that verify the workspace: those of SSL_CERT_FILE, else
// the platform's, else the built-in ones, and those at extra if it is not empty. It
// writes no file. A nil pool means the platform's own verifier, which also rejects what
// its keychain distrusts.
func (f Finder) Workspace(extra string) (*x509.CertPool, error) {
	var pool *x509.CertPool
	var err error
	switch {
	case f.SSLCertFile != "":
		if pool, err = Load(f.SSLCertFile); err != nil {
			err = fmt.Errorf("SSL_CERT_FILE: %w", err)
		}
	case platformVerifies && extra == "":
		return nil, nil
	case platformVerifies:
		if pool, err = x509.SystemCertPool(); err != nil {
			err = &Error{fmt.Errorf("the system's store: %w", err)}
		}
	default:
		pool, err = Load(cmp.Or(f.system(), BuiltIn))
	}
	if err == nil && extra != "" {
		err = addFile(pool, extra)
	}
	if err != nil {
		return nil, err
	}
	return pool, nil
}

// Load returns the certificates of the bundle at path, or the BuiltIn ones.
func Load(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if path != BuiltIn {
		return pool, addFile(pool, path)
	}
	for root := range bundle.Roots() {
		if cert, err := x509.ParseCertificate(root.Certificate); err == nil { // else this version of Go does not take it
			pool.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	return pool, nil
}

// Check returns an error if the file at path, which from names, is no bundle. It does not
// parse the certificates, which would take a tenth of a start with a cached token.
func Check(path, from string) error {
	text, err := read(path)
	if err == nil && !bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) {
		err = noCertificate(path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return nil
}

func addFile(pool *x509.CertPool, path string) error {
	text, err := read(path)
	if err == nil && !pool.AppendCertsFromPEM(text) {
		err = noCertificate(path)
	}
	return err
}

func noCertificate(path string) error { return &Error{fmt.Errorf("%q: no certificate in it", path)} }

// read reads a regular file of at most maxBundle bytes.
func read(path string) ([]byte, error) {
	text, err := securefile.ReadRegular(path, maxBundle)
	if err != nil {
		return nil, &Error{err}
	}
	return text, nil
}

// VerifyHint returns what to do about a certificate that no other roots would
// verify: one for another host, or an expired one. host names the settings of the
// host. The hint is empty for other errors.
func VerifyHint(err error, host string) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "check " + host + ": the certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this machine's clock; if it is right, the server's certificate must be renewed"
	}
	return ""
}
