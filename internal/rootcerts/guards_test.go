package rootcerts

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// A bundle without a certificate is refused where it is named, and not by the
// first login.
func TestEmptyBundle(t *testing.T) {
	dir := t.TempDir()
	good, _ := authority(t, dir, "good")
	for name, text := range map[string]string{"empty": "", "words": "no certificate\n", "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		path := filepath.Join(dir, name)
		write(t, path, []byte(text))
		for what, err := range map[string]error{"Check": Check(path), "Bundle": bundleOf(path)} {
			if err == nil || !strings.Contains(err.Error(), "no certificate in it") {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
	}
	if err := bundleOf(good); err != nil {
		t.Error(err)
	}
}

func bundleOf(path string) error {
	_, err := Finder{}.Bundle(path)
	return err
}

// Authorities that Mozilla believes under a condition stand in no file of ours,
// which could not say so; the others do.
func TestMozillaWithoutConditions(t *testing.T) {
	dir := t.TempDir()
	path, err := Finder{System: []string{}, CacheDir: dir, WriteFile: func(path string, data []byte) error {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o600)
	}}.Bundle("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	limited, free := 0, 0
	for root := range bundle.Roots() {
		in := bytes.Contains(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		if root.Constraint != nil {
			limited++
		} else {
			free++
		}
		if in != (root.Constraint == nil) {
			t.Errorf("a root with a condition (%v) is in the file: %v", root.Constraint != nil, in)
		}
	}
	t.Logf("%d roots, and %d with a condition", free, limited)
	if free < 100 {
		t.Errorf("%d roots", free)
	}
}
