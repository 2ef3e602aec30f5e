// Package rootcerts finds root certificates: the bundle that the database login and
// the child use, and the roots that verify the workspace. It never weakens
// verification, and never trusts more than the one bundle it was given.
package rootcerts

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// maxBundle bounds a bundle's size in bytes. The system's has some 200 KB.
const maxBundle = 8 << 20

// Finder finds bundles of root certificates.
type Finder struct {
	SSLCertFile string   // SSL_CERT_FILE; empty if it is not set
	System      []string // candidates; nil for the platform's own
	CacheDir    string   // the user's cache directory, for Mozilla's roots
}

// Error is a bundle that cannot be used.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("certificates in %s: %v", e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *Error) Hint() string {
	return "pass a PEM file of root certificates with --sslrootcert, --cacert or SSL_CERT_FILE"
}

// WriteError reports that a file of root certificates is needed, the system has
// none, and the built-in roots could not be written to one.
type WriteError struct {
	Dir string // empty: there is no cache directory
	Err error
}

func (e *WriteError) Error() string {
	at := fmt.Sprintf("could not be written to %q", e.Dir)
	if e.Dir == "" {
		at = "could not be written to a file"
	}
	return fmt.Sprintf("the system has no root certificates, and the built-in ones %s: %v", at, e.Err)
}
func (e *WriteError) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *WriteError) Hint() string {
	return "pass a PEM file of root certificates with --sslrootcert (PGSSLROOTCERT) or SSL_CERT_FILE, or set " + cacheVariable + " to a directory that can be written"
}

// BuiltIn is the path that selects the built-in roots. Load takes it; other
// programs do not. It is no absolute path, as those of Bundle are.
const BuiltIn = "built-in"

// Bundle returns the absolute path of the roots that verify the database: path if
// it is not empty, else SSL_CERT_FILE, else the system's bundle, else Mozilla's
// roots, which it writes to the cache directory. It never returns libpq's keyword
// "system", which libpq before 16 takes for a file name. Errors: *Error, *WriteError.
func (f Finder) Bundle(path string) (string, error) {
	if path == "" {
		path = f.SSLCertFile
	}
	if path == "" {
		if path = f.system(); path != "" {
			return path, nil
		}
		return f.writeMozillaRoots()
	}
	if err := Check(path); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &Error{path, err}
	}
	return abs, nil
}

func (f Finder) system() string {
	list := f.System
	if list == nil {
		list = systemBundles
	}
	for _, path := range list {
		if file, err := open(path); err == nil {
			_ = file.Close()
			return path
		}
	}
	return ""
}

// writeMozillaRoots writes the roots that this program contains to a file. Its name
// contains their digest, so that the file of another release is not used.
func (f Finder) writeMozillaRoots() (string, error) {
	if f.CacheDir == "" {
		return "", &WriteError{Err: errors.New("there is no home directory and no " + cacheVariable)}
	}
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file cannot say "not for certificates after …"
		}
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	sum := sha256.Sum256(text.Bytes())
	dir := filepath.Join(f.CacheDir, "lakebase")
	path := filepath.Join(dir, "roots-"+hex.EncodeToString(sum[:8])+".pem")
	if have, err := read(path); err == nil && bytes.Equal(have, text.Bytes()) {
		return path, nil
	}
	if err := securefile.WriteFile(path, text.Bytes()); err != nil {
		return "", &WriteError{dir, cause(err)}
	}
	return path, nil
}

// cause returns the system's error of a file that could not be written.
func cause(err error) error {
	var file *securefile.Error
	if !errors.As(err, &file) {
		return err
	}
	if file.Err == nil {
		return errors.New(file.Reason)
	}
	return unwrapPath(file.Err)
}

// builtIn returns the roots that this program contains.
func builtIn() *x509.CertPool {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil: // a root that this version of Go does not take
		case root.Constraint == nil:
			pool.AddCert(cert)
		default:
			pool.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	return pool
}

// Workspace returns the roots that verify the workspace: one bundle or the built-in
// roots, and those at extra if it is not empty. It writes no file. A nil pool means
// the platform's own verifier, which also rejects what its keychain distrusts.
func (f Finder) Workspace(extra string) (*x509.CertPool, error) {
	if platformVerifies && f.SSLCertFile == "" && extra == "" {
		return nil, nil
	}
	pool, err := f.base()
	if err == nil && extra != "" {
		err = addFile(pool, extra)
	}
	if err != nil {
		return nil, err
	}
	return pool, nil
}

// base returns the roots of SSL_CERT_FILE, else the platform's, else the built-in ones.
func (f Finder) base() (*x509.CertPool, error) {
	path := f.SSLCertFile
	if path == "" && platformVerifies {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, &Error{"the system's store", err}
		}
		return pool, nil
	}
	if path == "" {
		path = f.system()
	}
	if path == "" {
		return builtIn(), nil
	}
	pool := x509.NewCertPool()
	return pool, addFile(pool, path)
}

// Load returns the certificates of the bundle at path, or the BuiltIn ones.
func Load(path string) (*x509.CertPool, error) {
	if path == BuiltIn {
		return builtIn(), nil
	}
	pool := x509.NewCertPool()
	return pool, addFile(pool, path)
}

// Check returns an error if the file at path cannot be used as a bundle.
func Check(path string) error { return addFile(x509.NewCertPool(), path) }

func addFile(pool *x509.CertPool, path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return &Error{path, errors.New("no certificate in it")}
	}
	return nil
}

// read reads a regular file of at most maxBundle bytes.
func read(path string) ([]byte, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBundle+1))
	if err == nil && len(text) > maxBundle {
		err = fmt.Errorf("more than %d bytes", maxBundle)
	}
	if err != nil {
		return nil, &Error{path, unwrapPath(err)}
	}
	return text, nil
}

// open opens a regular file for reading. It checks that before, as opening a FIFO
// may block.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		return nil, &Error{path, unwrapPath(err)}
	}
	return file, nil
}

// unwrapPath removes the path from an error that is shown with it.
func unwrapPath(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
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
