package loginproof

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var key = credential.Key{Identity: "oauth-m2m", Host: "h.example", Principal: "c", Target: "projects/p/branches/b/endpoints/e", Credential: "database"}

// directory is Files over a plain directory.
type directory string

func (d directory) ReadFile(name string, max int64) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(d), name))
	if err == nil && int64(len(data)) > max {
		return nil, errors.New("too large")
	}
	return data, err
}

func (d directory) WriteFile(name string, data []byte) error {
	return os.WriteFile(filepath.Join(string(d), name), data, 0o600)
}

func aLogin() Login {
	return Login{Host: "h", HostAddr: "10.0.0.1", Database: "d", User: "u", SSLMode: "verify-full", SSLRootCert: "/r.pem", Port: 5432, Token: credential.NewSecret("eyJ-token")}
}

func TestProofs(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir := directory(t.TempDir())
	c := New(dir, func() time.Time { return now })
	if c.Recent(key, aLogin()) {
		t.Error("a login is recent before any was made")
	}
	if err := c.Record(key, aLogin()); err != nil {
		t.Fatal(err)
	}
	begun := now
	for age, want := range map[time.Duration]bool{0: true, Life - 1: true, Life: false, time.Hour: false, -1: false, -time.Hour: false} {
		if now = begun.Add(age); c.Recent(key, aLogin()) != want {
			t.Errorf("age %s: got recent %v", age, !want)
		}
	}
	now = begun
	for i := range reflect.TypeFor[Login]().NumField() {
		l := aLogin()
		switch f := reflect.ValueOf(&l).Elem().Field(i); f.Interface().(type) {
		case string:
			f.SetString(f.String() + "x")
		case int:
			f.SetInt(1)
		case credential.Secret:
			f.Set(reflect.ValueOf(credential.NewSecret("another")))
		default:
			t.Fatalf("a field of type %s is not tested", f.Type())
		}
		if c.Recent(key, l) {
			t.Errorf("recent with another %s", reflect.TypeFor[Login]().Field(i).Name)
		}
	}
	l := aLogin()
	l.Host, l.HostAddr = `h" "10.0.0.1`, ""
	if c.Recent(key, l) {
		t.Error("fields run into each other")
	}
	other := key
	other.Host = "other"
	if c.Recent(other, aLogin()) || !c.Recent(key, aLogin()) {
		t.Error("the login of one target is recent for another")
	}
	name := filepath.Join(string(dir), fileName(key))
	for _, text := range []string{"", "x", aLogin().digest(), aLogin().digest() + " x", strings.Repeat("9", 300)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.Recent(key, aLogin()) {
			t.Errorf("a file with %q makes a login recent", text)
		}
	}
}

// No directory, and one that does not exist, remember nothing; the file holds no token.
func TestProofs_WithoutDirectory(t *testing.T) {
	if p := New(nil, time.Now); p.Record(key, aLogin()) != nil || p.Recent(key, aLogin()) {
		t.Error("a login is recent without a directory")
	}
	if err := New(directory(t.TempDir()+"/missing"), time.Now).Record(key, aLogin()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	dir := t.TempDir()
	if err := New(directory(dir), time.Now).Record(key, aLogin()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, fileName(key)))
	if err != nil || len(data) == 0 || strings.Contains(string(data), aLogin().Token.Reveal()) {
		t.Errorf("got %q, %v; want a record without the token", data, err)
	}
}
