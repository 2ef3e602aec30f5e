package loginproof

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

var key = credential.Key{Identity: "oauth-m2m", Host: "h.example", Principal: "c", Target: "projects/p", Credential: "database"}

func testLogin() Login {
	return Login{Host: "h", HostAddr: "10.0.0.1", Port: 5432, Database: "d", User: "u", SSLMode: "verify-full", SSLRootCert: "/r.pem",
		Token: credential.NewSecret("eyJ-token")}
}

func TestProofs(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir, err := securefile.OpenDir([]string{filepath.Join(t.TempDir(), "private")})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c := New(dir, func() time.Time { return now })
	if c.Recent(key, testLogin()) {
		t.Error("got a recent login, want none")
	}
	if err := c.Record(key, testLogin()); err != nil {
		t.Fatal(err)
	}
	start := now
	for age, want := range map[time.Duration]bool{0: true, Life - 1: true, Life: false, time.Hour: false, -1: false, -time.Hour: false} {
		if now = start.Add(age); c.Recent(key, testLogin()) != want {
			t.Errorf("age %s: got %v, want %v", age, !want, want)
		}
	}
	now = start
	for i := range reflect.TypeFor[Login]().NumField() {
		l := testLogin()
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
			t.Errorf("a login with another %s is recent", reflect.TypeFor[Login]().Field(i).Name)
		}
	}
	l := testLogin()
	l.Host, l.HostAddr = `h" "10.0.0.1`, ""
	if c.Recent(key, l) {
		t.Error("two logins have the same digest")
	}
	other := key
	other.Host = "other"
	if c.Recent(other, testLogin()) || !c.Recent(key, testLogin()) {
		t.Error("a login of another target is recent")
	}
	name := filepath.Join(dir.Path(), fileName(key))
	if data, err := os.ReadFile(name); err != nil || len(data) == 0 || strings.Contains(string(data), testLogin().Token.Reveal()) {
		t.Errorf("got %q, %v; want a record without the token", data, err)
	}
	for _, text := range []string{"", "x", testLogin().digest(), testLogin().digest() + " x", strings.Repeat("9", 300)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.Recent(key, testLogin()) {
			t.Errorf("with the record %q: got a recent login, want none", text)
		}
	}
	if p := New(nil, time.Now); p.Record(key, testLogin()) != nil || p.Recent(key, testLogin()) {
		t.Error("got an error or a recent login without a directory")
	}
}
