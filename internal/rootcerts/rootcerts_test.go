package rootcerts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// authority writes a new root certificate to a file.
func authority(t *testing.T, dir, name string) (path string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err = x509.ParseCertificate(der)
	must(t, err)
	path = filepath.Join(dir, name+".pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return path, cert
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cacheIn(dir string) func() (string, error) {
	if dir == "" {
		return func() (string, error) { return "", errors.New("no cache directory") }
	}
	return func() (string, error) { return dir, nil }
}

func TestBundle_Order(t *testing.T) {
	dir := t.TempDir()
	option, _ := authority(t, dir, "option")
	env, _ := authority(t, dir, "env")
	sys, _ := authority(t, dir, "system")
	for _, c := range []struct {
		name, option string
		finder       Finder
		want         string
	}{
		{"the option", option, Finder{SSLCertFile: env, System: []string{sys}}, option},
		{"SSL_CERT_FILE", "", Finder{SSLCertFile: env, System: []string{sys}}, env},
		{"the system's", "", Finder{System: []string{filepath.Join(dir, "none.pem"), dir, sys, env}}, sys},
	} {
		if got, err := c.finder.Bundle(c.option, "--sslrootcert"); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	t.Chdir(dir)
	got, err := Finder{SSLCertFile: "env.pem"}.Bundle("", "")
	if err != nil || !filepath.IsAbs(got) || filepath.Base(got) != "env.pem" {
		t.Errorf("got %q, %v, want an absolute path", got, err)
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	big := write("big.pem", "")
	must(t, os.Truncate(big, maxBundle+1))
	good, _ := authority(t, dir, "good")
	notFound := syscall.ENOENT.Error()
	for path, reason := range map[string]string{
		filepath.Join(dir, "none.pem"): notFound,
		dir:                            "not a regular file",
		write("empty.pem", ""):         "no certificate",
		write("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"): "no certificate",
		big: "larger than",
	} {
		_, byOption := Finder{}.Bundle(path, "--sslrootcert")
		_, byEnv := Finder{SSLCertFile: path}.Bundle("", "--sslrootcert")
		_, workspaceByEnv := Finder{SSLCertFile: path}.Workspace("")
		_, workspace := Finder{SSLCertFile: good}.Workspace(path)
		named := fmt.Sprintf("certificates in %q: ", path)
		for i, c := range []struct {
			err  error
			from string
		}{{Check(path, "--cacert"), "--cacert: "}, {byOption, "--sslrootcert: "}, {byEnv, "SSL_CERT_FILE: "}, {workspaceByEnv, "SSL_CERT_FILE: "}, {workspace, ""}} {
			err := c.err
			if !errors.As(err, new(*Error)) || !strings.HasPrefix(err.Error(), c.from+named) || !strings.Contains(err.Error(), reason) {
				t.Errorf("no. %d, %s: got %v, want %s%s%q", i, filepath.Base(path), err, c.from, named, reason)
			}
			if reason == notFound && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("no. %d: got %v, want fs.ErrNotExist", i, err)
			}
		}
	}
}

// The file holds all of Mozilla's roots but those with a constraint, which a file
// cannot express. One that was changed is written again.
func TestBundle_MozillaRoots(t *testing.T) {
	dir := t.TempDir()
	f := Finder{System: []string{}, CacheDir: cacheIn(dir)}
	path, err := f.Bundle("", "")
	if err != nil || !strings.HasPrefix(path, filepath.Join(dir, "lakebase", "roots-")) {
		t.Fatalf("got %q, %v", path, err)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	var want []byte
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			want = append(want, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})...)
		}
	}
	if string(text) != string(want) || len(want) < 100_000 {
		t.Errorf("got %d bytes, want %d", len(text), len(want))
	}
	before, err := os.Stat(path)
	must(t, err)
	if again, err := f.Bundle("", ""); err != nil || again != path {
		t.Errorf("the second time: got %q, %v", again, err)
	} else if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("an unchanged file was written again (%v)", err)
	}
	must(t, os.WriteFile(path, text[:len(text)-1], 0o600))
	_, err = f.Bundle("", "")
	must(t, err)
	if again, err := os.ReadFile(path); err != nil || string(again) != string(text) {
		t.Errorf("a changed file is used (%v)", err)
	}
}

// Without a bundle and a cache directory, the built-in roots verify the workspace and
// the login of this process. A file for other programs is an error.
func TestNoBundleAndNoCacheDir(t *testing.T) {
	if platformVerifies {
		t.Skip("the platform verifies")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	extraPath, _ := authority(t, dir, "extra")
	full, err := Load(BuiltIn)
	must(t, err)
	for cache, want := range map[string]string{
		file:    file + ": not a directory",
		"/proc": "/proc/lakebase: no such file or directory",
		"":      "no cache directory",
	} {
		f := Finder{System: []string{filepath.Join(dir, "none.pem")}, CacheDir: cacheIn(cache)}
		pool, err := f.Workspace("")
		if err != nil || !pool.Equal(full) {
			t.Errorf("%q: got pool %v, %v, want the built-in roots", cache, pool != nil, err)
		}
		if path, err := f.Bundle(extraPath, "--sslrootcert"); err != nil || path != extraPath {
			t.Errorf("%q: got %q, %v, want the named file", cache, path, err)
		}
		var e *WriteError
		if _, err := f.Bundle("", ""); !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(e.Hint(), "--sslrootcert") {
			t.Errorf("%q: got %v, want %q", cache, err, want)
		}
	}
	if err := Check(BuiltIn, "--cacert"); err == nil {
		t.Error("Check takes a user's file name for the built-in roots")
	}
}

// Workspace trusts one bundle and the extra file, and writes none.
func TestWorkspace_TrustsOneBundle(t *testing.T) {
	dir := t.TempDir()
	envPath, env := authority(t, dir, "env")
	sysPath, sys := authority(t, dir, "system")
	extraPath, extra := authority(t, dir, "extra")
	for _, c := range []struct {
		name, env, extra string
		trusts           []*x509.Certificate
	}{
		{"SSL_CERT_FILE", envPath, "", []*x509.Certificate{env}},
		{"and one more", envPath, extraPath, []*x509.Certificate{env, extra}},
		{"the system's", "", "", []*x509.Certificate{sys}},
		{"and one more", "", extraPath, []*x509.Certificate{sys, extra}},
	} {
		if c.env == "" && platformVerifies {
			continue
		}
		pool, err := Finder{SSLCertFile: c.env, System: []string{sysPath, envPath}, CacheDir: cacheIn(filepath.Join(dir, "cache"))}.Workspace(c.extra)
		must(t, err)
		want := x509.NewCertPool()
		for _, cert := range c.trusts {
			want.AddCert(cert)
		}
		if !pool.Equal(want) {
			t.Errorf("%s: the pool does not hold exactly the expected roots", c.name)
		}
	}
	if pool, err := (Finder{System: []string{sysPath}}).Workspace(""); err != nil || (pool == nil) != platformVerifies {
		t.Errorf("got pool %v, %v, want the platform's verifier: %v", pool != nil, err, platformVerifies)
	}
	if _, err := os.Stat(filepath.Join(dir, "cache")); err == nil {
		t.Error("the workspace's roots were written to a file")
	}
}

func TestVerifyHint(t *testing.T) {
	for want, err := range map[string]error{
		"check HOST: the certificate is for another host": x509.HostnameError{},
		"check this machine's clock":                      x509.CertificateInvalidError{Reason: x509.Expired},
		"":                                                x509.UnknownAuthorityError{},
	} {
		if got := VerifyHint(fmt.Errorf("x: %w", err), "HOST"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%T: got %q, want %q", err, got, want)
		}
	}
}
