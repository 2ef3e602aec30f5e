package rootcerts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes a root certificate and puts it into a file.
func authority(t *testing.T, dir, name string) (path string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name+".pem")
	write(t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return path, cert
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func trusts(pool *x509.CertPool, cert *x509.Certificate) bool {
	_, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

func TestBundleOrder(t *testing.T) {
	dir := t.TempDir()
	given, _ := authority(t, dir, "given")
	env, _ := authority(t, dir, "env")
	sys, _ := authority(t, dir, "system")
	none := filepath.Join(dir, "none.pem")
	for _, c := range []struct {
		name, given string
		f           Finder
		want        string
	}{
		{"the option", given, Finder{SSLCertFile: env, System: []string{sys}}, given},
		{"SSL_CERT_FILE", "", Finder{SSLCertFile: env, System: []string{sys}}, env},
		{"the system's", "", Finder{System: []string{none, dir, sys, env}}, sys},
	} {
		c.f.WriteFile = func(string, []byte) error { t.Errorf("%s: Mozilla's roots are written", c.name); return nil }
		if got, err := c.f.Bundle(c.given); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestBundleIsAbsolute(t *testing.T) {
	dir := t.TempDir()
	path, _ := authority(t, dir, "env")
	t.Chdir(dir)
	got, err := Finder{SSLCertFile: "env.pem"}.Bundle("")
	if err != nil || !filepath.IsAbs(got) || filepath.Base(got) != filepath.Base(path) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	write(t, empty, []byte("no certificate\n"))
	big := filepath.Join(dir, "big.pem")
	write(t, big, nil)
	if err := os.Truncate(big, maxBundle+1); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none.pem")
	bundle := func(p string) error { _, err := Finder{}.Bundle(p); return err }
	byEnv := func(p string) error { _, err := Finder{SSLCertFile: p}.Bundle(""); return err }
	workspace := func(p string) error { _, err := Finder{SSLCertFile: p}.Workspace(""); return err }
	good, _ := authority(t, dir, "good")
	extra := func(p string) error { _, err := Finder{SSLCertFile: good}.Workspace(p); return err }
	for _, c := range []struct {
		path, why string
		use       []func(string) error
	}{
		{none, "no such file", []func(string) error{bundle, byEnv, workspace, extra}},
		{dir, "not a regular file", []func(string) error{bundle, byEnv, workspace, extra}},
		{empty, "no certificate", []func(string) error{workspace, extra}},
		{big, "more than", []func(string) error{workspace, extra}},
	} {
		for i, use := range c.use {
			err := use(c.path)
			var e *Error
			if !errors.As(err, &e) || e.Path != c.path || !strings.Contains(err.Error(), c.why) || strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("%s, %d: %v", filepath.Base(c.path), i, err)
			}
			if c.path == none && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v does not say that there is no such file", err)
			}
		}
	}
	for _, use := range []func(string) error{bundle, byEnv, workspace, extra} {
		if err := use(good); err != nil {
			t.Errorf("a good file: %v", err)
		}
	}
}

func TestMozillasRoots(t *testing.T) {
	dir := t.TempDir()
	var wrote []string
	f := Finder{System: []string{}, CacheDir: dir, WriteFile: func(path string, data []byte) error {
		wrote = append(wrote, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o600)
	}}
	path, err := f.Bundle("")
	if err != nil || !filepath.IsAbs(path) || !strings.HasPrefix(path, filepath.Join(dir, "lakebase", "roots-")) || len(wrote) != 1 || wrote[0] != path {
		t.Fatalf("%q, %v, wrote %v", path, err, wrote)
	}
	again, err := f.Bundle("")
	if err != nil || again != path || len(wrote) != 1 {
		t.Errorf("the second time: %q, %v, wrote %v", again, err, wrote)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rest := data; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) != 0 {
				t.Errorf("%d bytes are no PEM", len(rest))
			}
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" || !c.IsCA {
			t.Errorf("certificate %d: %v", n, err)
		}
	}
	if n < 50 {
		t.Errorf("only %d roots", n)
	}
	pool, err := f.Workspace("") // on Linux, from the same file
	if err != nil || !platformVerifies && pool == nil {
		t.Errorf("%v", err)
	}
	// A file that was changed is written again.
	write(t, path, data[:len(data)-1])
	if _, err := f.Bundle(""); err != nil || len(wrote) != 2 {
		t.Errorf("a changed file is used: %v, wrote %d times", err, len(wrote))
	}
}

func TestMozillasRootsThatCannotBeWritten(t *testing.T) {
	f := Finder{System: []string{}, CacheDir: "/cache", WriteFile: func(path string, _ []byte) error {
		return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}}
	_, err := f.Bundle("")
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(e.Path, filepath.FromSlash("/cache/lakebase/roots-")) {
		t.Error(err)
	}
	f.CacheDir = ""
	if _, err := f.Bundle(""); !errors.As(err, &e) || !strings.Contains(err.Error(), "there is none") {
		t.Error(err)
	}
}

func TestWorkspaceTrustsOneBundle(t *testing.T) {
	dir := t.TempDir()
	envPath, env := authority(t, dir, "env")
	sysPath, sys := authority(t, dir, "system")
	morePath, more := authority(t, dir, "more")
	pool, err := Finder{SSLCertFile: envPath, System: []string{sysPath}}.Workspace("")
	if err != nil || !trusts(pool, env) || trusts(pool, sys) || trusts(pool, more) {
		t.Errorf("SSL_CERT_FILE: %v", err)
	}
	want := x509.NewCertPool()
	want.AddCert(env)
	if !pool.Equal(want) {
		t.Error("the pool holds more than the one bundle")
	}
	pool, err = Finder{SSLCertFile: envPath, System: []string{sysPath}}.Workspace(morePath)
	if err != nil || !trusts(pool, env) || trusts(pool, sys) || !trusts(pool, more) {
		t.Errorf("with one more: %v", err)
	}
	if platformVerifies {
		if pool, err := (Finder{System: []string{sysPath}}).Workspace(""); pool != nil || err != nil {
			t.Errorf("the platform's own verifier is not used: %v", err)
		}
		return
	}
	pool, err = Finder{System: []string{sysPath, envPath}}.Workspace(morePath)
	if err != nil || !trusts(pool, sys) || trusts(pool, env) || !trusts(pool, more) {
		t.Errorf("the system's: %v", err)
	}
}
