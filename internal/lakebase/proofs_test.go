package lakebase

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

func TestProofs(t *testing.T) {
	key := credential.Key{Identity: "oauth-m2m", Host: "h.example", Principal: "c", Target: "projects/p", Credential: "database"}
	session := Session{key: key, Token: newToken("eyJ-token"), Target: pglogin.Target{Host: "h", HostAddr: "10.0.0.1", Port: 5432, Database: "d", User: "u",
		SSLMode: pglogin.VerifyFull, SSLRootCert: "/r.pem"}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir, err := securefile.OpenDir([]string{filepath.Join(t.TempDir(), "private")})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c := Proofs{Files: dir, Now: func() time.Time { return now }}
	if c.recent(session) {
		t.Error("got a recent login, want none")
	}
	if err := c.record(session); err != nil {
		t.Fatal(err)
	}
	start := now
	for age, want := range map[time.Duration]bool{0: true, proofLife - 1: true, proofLife: false, time.Hour: false, -1: false, -time.Hour: false} {
		if now = start.Add(age); c.recent(session) != want {
			t.Errorf("age %s: got %v, want %v", age, !want, want)
		}
	}
	now = start
	for i := range reflect.TypeFor[pglogin.Target]().NumField() {
		changed := session
		switch f := reflect.ValueOf(&changed.Target).Elem().Field(i); f.Interface().(type) {
		case string:
			f.SetString(f.String() + "x")
		case int:
			f.SetInt(1)
		default:
			t.Fatalf("a field of type %s is not tested", f.Type())
		}
		if c.recent(changed) {
			t.Errorf("a login with another %s is recent", reflect.TypeFor[pglogin.Target]().Field(i).Name)
		}
	}
	changed := session
	if changed.Token = newToken("another"); c.recent(changed) {
		t.Error("a login with another token is recent")
	}
	changed = session
	if changed.Target.Host, changed.Target.HostAddr = `h", HostAddr:"10.0.0.1`, ""; c.recent(changed) {
		t.Error("two logins have the same digest")
	}
	other := session
	other.key.Host = "other"
	if c.recent(other) || !c.recent(session) {
		t.Error("a login of another target is recent")
	}
	name := filepath.Join(dir.Path(), proofFile(key))
	if data, err := os.ReadFile(name); err != nil || len(data) == 0 || strings.Contains(string(data), session.Token.Value.Reveal()) {
		t.Errorf("got %q, %v; want a record without the token", data, err)
	}
	for _, text := range []string{"", "x", session.digest(), session.digest() + " x", strings.Repeat("9", 300)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.recent(session) {
			t.Errorf("with the record %q: got a recent login, want none", text)
		}
	}
	if p := (Proofs{}); p.record(session) != nil || p.recent(session) {
		t.Error("got an error or a recent login without a directory")
	}
}
