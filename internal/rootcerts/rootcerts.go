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
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

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

// cacheVariable moves the user's cache directory.
var cacheVariable = cmp.Or(map[string]string{"windows": "LOCALAPPDATA", "darwin": "HOME"}[runtime.GOOS], "XDG_CACHE_HOME")

// sslCertFile is the variable of Finder.SSLCertFile.
const sslCertFile = "SSL_CERT_FILE"

// Finder finds bundles of root certificates.
type Finder struct {
	SSLCertFile string   // SSL_CERT_FILE; empty if it is not set
	System      []string // candidates; nil for the platform's own
	CacheDir    string   // the user's cache directory, for Mozilla's roots
}

// Error is a bundle that cannot be used.
type Error struct {
	Path string
	From string // what named it, such as --cacert; empty: not known
	Err  error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("certificates in %s: %v", e.Path, e.Err)
	if e.From != "" {
		text = e.From + ": " + text
	}
	return text
}
func (e *Error) Unwrap() error { return e.Err }

// NamedBy returns err with what named the bundle, if err is an *Error without it.
func NamedBy(err error, from string) error {
	if e, ok := errors.AsType[*Error](err); ok && e.From == "" {
		return &Error{Path: e.Path, From: from, Err: e.Err}
	}
	return err
}

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
	at := "a file"
	if e.Dir != "" {
		at = strconv.Quote(e.Dir)
	}
	return fmt.Sprintf("the system has no root certificates, and the built-in ones could not be written to %s: %v", at, e.Err)
}
func (e *WriteError) Unwrap() error { return e.Err }

// Hint returns what to do about the error.
func (e *WriteError) Hint() string {
	return "pass a PEM file of root certificates with --sslrootcert (PGSSLROOTCERT) or SSL_CERT_FILE, " +
		"or set " + cacheVariable + " to a directory that can be written"
}

// BuiltIn is the path that selects the built-in roots. Load takes it; other
// programs do not. It is no absolute path, as those of Bundle are.
const BuiltIn = "built-in"

// Bundle returns the absolute path of the roots that verify the database: path if
// it is not empty, else SSL_CERT_FILE, else the system's bundle, else Mozilla's
// roots, which it writes to the cache directory. It never returns libpq's keyword
// "system", which libpq before 16 takes for a file name. Errors: *Error, *WriteError.
func (f Finder) Bundle(path string) (string, error) {
	from := ""
	if path == "" {
		path, from = f.SSLCertFile, sslCertFile
	}
	if path == "" {
		if path = f.system(); path != "" {
			return path, nil
		}
		return f.writeMozillaRoots()
	}
	if err := Check(path); err != nil {
		return "", NamedBy(err, from)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &Error{Path: path, From: from, Err: err}
	}
	return abs, nil
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
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = securefile.ReplaceFile(path, text.Bytes())
	}
	if err != nil {
		return "", &WriteError{dir, cause(err)}
	}
	return path, nil
}

// cause removes the path from an error of a file that is shown with it.
func cause(err error) error {
	var path *fs.PathError
	var file *securefile.Error
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &file):
		return errors.New(file.Reason)
	}
	return err
}

// builtIn returns the roots that this program contains.
func builtIn() *x509.CertPool {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		if cert, err := x509.ParseCertificate(root.Certificate); err == nil { // else this version of Go does not take it
			pool.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	return pool
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
		pool, err = Load(f.SSLCertFile)
		err = NamedBy(err, sslCertFile)
	case platformVerifies && extra == "":
		return nil, nil
	case platformVerifies:
		if pool, err = x509.SystemCertPool(); err != nil {
			err = &Error{Path: "the system's store", Err: err}
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
	if path == BuiltIn {
		return builtIn(), nil
	}
	pool := x509.NewCertPool()
	return pool, addFile(pool, path)
}

var errNoCertificate = errors.New("no certificate in it")

// Check returns an error if the file at path is no bundle. It does not parse the
// certificates, which would take a tenth of a start with a cached token.
func Check(path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return nil
		}
	}
	return &Error{Path: path, Err: errNoCertificate}
}

func addFile(pool *x509.CertPool, path string) error {
	text, err := read(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(text) {
		return &Error{Path: path, Err: errNoCertificate}
	}
	return nil
}

// read reads a regular file of at most maxBundle bytes.
func read(path string) ([]byte, error) {
	text, err := securefile.ReadRegular(path, maxBundle)
	if err != nil {
		return nil, &Error{Path: path, Err: cause(err)}
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
