// Package rootcerts owns the question of whose certificates are believed: which
// file of roots the database login and the child use, and which roots the
// workspace is checked with. It must never weaken a check, and never believe
// more than the one bundle it was pointed to.
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
)

// Finder looks for bundles of root certificates.
type Finder struct {
	SSLCertFile string   // SSL_CERT_FILE, where the caller has set it
	System      []string // candidates; nil for the platform's own
	CacheDir    string   // the user's cache folder, for Mozilla's roots
	// WriteFile puts a file in place atomically; it is called for Mozilla's roots only.
	WriteFile func(path string, data []byte) error
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

// Bundle gives the absolute path of the roots that verify the database: given
// where it is not empty, else SSL_CERT_FILE, else the system's bundle, else
// Mozilla's roots written to the user's cache folder. It never gives libpq's
// word "system", which libpq before 16 reads as a file's name.
func (f Finder) Bundle(given string) (string, error) {
	for _, p := range []string{given, f.SSLCertFile} {
		if p != "" {
			return absolute(p)
		}
	}
	if p := f.system(); p != "" {
		return p, nil
	}
	return f.mozilla()
}

func (f Finder) system() string {
	list := f.System
	if list == nil {
		list = systemBundles
	}
	for _, p := range list {
		if file, err := open(p); err == nil {
			_ = file.Close()
			return p
		}
	}
	return ""
}

// absolute gives p as the child can use it from any folder.
func absolute(p string) (string, error) {
	if _, err := certificates(p); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", &Error{p, err}
	}
	return abs, nil
}

// Check says whether the file at path can be used as a bundle.
func Check(path string) error {
	_, err := certificates(path)
	return err
}

// certificates reads a bundle and makes sure that there is a certificate in it.
func certificates(p string) ([]byte, error) {
	data, err := read(p)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, &Error{p, errors.New("no certificate in it")}
		}
		if block.Type == "CERTIFICATE" {
			return data, nil
		}
	}
}

// read reads a regular file of at most maxBundle bytes.
func read(p string) ([]byte, error) {
	file, err := open(p)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBundle+1))
	if err == nil && len(data) > maxBundle {
		err = fmt.Errorf("more than %d bytes", maxBundle)
	}
	if err != nil {
		return nil, &Error{p, bare(err)}
	}
	return data, nil
}

// open opens a regular file for reading.
func open(p string) (*os.File, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, &Error{p, bare(err)}
	}
	if !info.Mode().IsRegular() { // before it is opened: that could wait for ever
		return nil, &Error{p, errors.New("not a regular file")}
	}
	file, err := os.Open(p)
	if err != nil {
		return nil, &Error{p, bare(err)}
	}
	return file, nil
}

// bare takes the path off an error whose reader names it already.
func bare(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}

// mozilla writes the roots that this program carries to a file whose name holds
// their digest, so that a file of another release is not taken for it.
func (f Finder) mozilla() (string, error) {
	var pemText bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file cannot say "not for certificates after …"
		}
		_ = pem.Encode(&pemText, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	sum := sha256.Sum256(pemText.Bytes())
	path := filepath.Join(f.CacheDir, "lakebase", "roots-"+hex.EncodeToString(sum[:8])+".pem")
	if f.CacheDir == "" {
		return "", &Error{"the user's cache folder", errors.New("there is none, and the system has no bundle of certificates")}
	}
	if have, err := read(path); err == nil && bytes.Equal(have, pemText.Bytes()) {
		return path, nil
	}
	if err := f.WriteFile(path, pemText.Bytes()); err != nil {
		return "", &Error{path, bare(err)}
	}
	return path, nil
}

// maxBundle is the most that is read of a file of certificates.
const maxBundle = 8 << 20

// Workspace gives the roots that the workspace is checked with: one bundle and
// those of extra, where it is not empty. A nil pool stands for the platform's
// own verifier, which knows what its keychain distrusts.
func (f Finder) Workspace(extra string) (*x509.CertPool, error) {
	base := f.SSLCertFile
	if base == "" && !platformVerifies {
		var err error
		if base, err = f.Bundle(""); err != nil {
			return nil, err
		}
	}
	if base == "" && extra == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if base == "" {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, &Error{"the system's store", err}
		}
	}
	for _, p := range []string{base, extra} {
		if p == "" {
			continue
		}
		if err := add(pool, p); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

// Load returns the certificates of the bundle at path.
func Load(path string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	return pool, add(pool, path)
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

func add(pool *x509.CertPool, path string) error {
	data, err := certificates(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(data) {
		return &Error{path, errors.New("no certificate in it that can be read")}
	}
	return nil
}
