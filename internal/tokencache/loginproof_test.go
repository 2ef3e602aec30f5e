package tokencache

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func aLogin() Login {
	return Login{Host: "h", HostAddr: "10.0.0.1", Database: "d", User: "u", SSLMode: "verify-full", SSLRootCert: "/r.pem", Port: 5432, Token: credential.NewSecret(tokenText)}
}

func TestLoginProof(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir := directory(t.TempDir())
	c := New(Options{Files: dir, Observer: newEvents(), Now: func() time.Time { return now }})
	if c.RecentLogin(key, aLogin()) {
		t.Error("a login is recent before any was made")
	}
	c.RecordLogin(key, aLogin())
	begun := now
	for age, want := range map[time.Duration]bool{0: true, LoginProofLife - 1: true, LoginProofLife: false, time.Hour: false, -1: false, -time.Hour: false} {
		if now = begun.Add(age); c.RecentLogin(key, aLogin()) != want {
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
		if c.RecentLogin(key, l) {
			t.Errorf("recent with another %s", reflect.TypeFor[Login]().Field(i).Name)
		}
	}
	l := aLogin()
	l.Host, l.HostAddr = `h" "10.0.0.1`, ""
	if c.RecentLogin(key, l) {
		t.Error("fields run into each other")
	}
	other := key
	other.Host = "other"
	if c.RecentLogin(other, aLogin()) || !c.RecentLogin(key, aLogin()) {
		t.Error("the login of one target is recent for another")
	}
	name := filepath.Join(string(dir), proofName(key))
	for _, text := range []string{"", "x", aLogin().digest(), aLogin().digest() + " x", strings.Repeat("9", 300)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.RecentLogin(key, aLogin()) {
			t.Errorf("a file with %q makes a login recent", text)
		}
	}
}

func TestLoginProof_WithoutDirectory(t *testing.T) {
	c := newCache(nil, "", newEvents())
	c.RecordLogin(key, aLogin())
	if c.RecentLogin(key, aLogin()) {
		t.Error("a login is recent without a directory")
	}
	events := newEvents()
	New(Options{Files: directory(t.TempDir() + "/missing"), Observer: events, Now: time.Now}).RecordLogin(key, aLogin())
	if !strings.Contains(events.String(), "recording the login") {
		t.Errorf("reported %s, want the failure", events)
	}
}

// Only the file store writes the token to a file.
func TestFiles_HoldNoToken(t *testing.T) {
	dir := t.TempDir()
	c := New(Options{Store: &memory{}, LockDir: dir, Files: directory(dir), Observer: newEvents(), Now: time.Now})
	if _, err := c.Get(t.Context(), key, criteria, minting(tokenText)); err != nil {
		t.Fatal(err)
	}
	c.RecordLogin(key, aLogin())
	if files, _ := os.ReadDir(dir); len(files) != 2 { // the lock and the login
		t.Errorf("got %v, want two files", files)
	}
	if found := filesWith(t, dir, tokenText); len(found) != 0 {
		t.Errorf("the token is in %v", found)
	}
	c = newCache(FileStore{directory(dir)}, dir, newEvents())
	if _, err := c.Get(t.Context(), key, criteria, minting(tokenText)); err != nil {
		t.Fatal(err)
	}
	if found := filesWith(t, dir, tokenText); len(found) != 1 {
		t.Errorf("the search finds the token in %v, want one file", found)
	}
}

func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data)+f.Name(), text) {
			found = append(found, f.Name())
		}
	}
	return found
}
