package cache

import (
	"context"
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

func TestStamp(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir := folder(t.TempDir())
	c := &Cache{Files: dir, Now: func() time.Time { return now }}
	if c.Proven(key, aLogin()) {
		t.Error("proven before any login")
	}
	c.Prove(key, aLogin())
	begun := now
	for age, want := range map[time.Duration]bool{0: true, StampLife - 1: true, StampLife: false, time.Hour: false, -1: false, -time.Hour: false} {
		if now = begun.Add(age); c.Proven(key, aLogin()) != want {
			t.Errorf("at an age of %s: %v", age, !want)
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
		if c.Proven(key, l) {
			t.Errorf("proven with another %s", reflect.TypeFor[Login]().Field(i).Name)
		}
	}
	l := aLogin()
	l.Host, l.HostAddr = `h" "10.0.0.1`, ""
	if c.Proven(key, l) {
		t.Error("fields run into each other")
	}
	other := key
	other.Host = "other"
	if c.Proven(other, aLogin()) || !c.Proven(key, aLogin()) {
		t.Error("a stamp of one target serves another")
	}
	name := filepath.Join(string(dir), stampName(key))
	for _, text := range []string{"", "x", aLogin().digest(), aLogin().digest() + " x", strings.Repeat("9", 300)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.Proven(key, aLogin()) {
			t.Errorf("proven by %q", text)
		}
	}
}

func TestStampWithoutFolder(t *testing.T) {
	c := &Cache{Now: time.Now}
	c.Prove(key, aLogin())
	if c.Proven(key, aLogin()) {
		t.Error("proven without a folder")
	}
	var log told
	c = &Cache{Now: time.Now, Files: folder(t.TempDir() + "/none"), Told: log.tell}
	c.Prove(key, aLogin())
	if !strings.Contains(log.String(), "writing the stamp") {
		t.Errorf("told: %s", &log)
	}
}

func TestFilesHoldNoSecret(t *testing.T) {
	dir := t.TempDir()
	c := &Cache{Store: &memory{}, LockDir: dir, Files: folder(dir), Now: time.Now}
	r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
	if err != nil {
		t.Fatal(err)
	}
	r.Saved(t.Context())
	c.Prove(key, aLogin())
	if n := search(t, dir); len(n) != 0 {
		t.Errorf("the token stands in %v", n)
	}
	files, _ := os.ReadDir(dir)
	if len(files) < 3 { // two locks and the stamp
		t.Errorf("only %v was searched", files)
	}
	// The same search finds it where it does stand.
	if err := (FileStore{folder(dir)}).Put(t.Context(), account(key), encode(key, entry(tokenText))); err != nil {
		t.Fatal(err)
	}
	if n := search(t, dir); len(n) != 1 {
		t.Errorf("the search finds %v", n)
	}
}

func search(t *testing.T, dir string) (found []string) {
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
		if strings.Contains(string(data)+f.Name(), tokenText) {
			found = append(found, f.Name())
		}
	}
	return found
}

func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	s := FileStore{folder(dir)}
	if _, err := s.Peek(t.Context(), "token:x"); !IsMissing(err) {
		t.Errorf("an absent item: %v", err)
	}
	if err := s.Delete(t.Context(), "token:x"); !IsMissing(err) {
		t.Errorf("deleting an absent item: %v", err)
	}
	if err := s.Put(t.Context(), "token:x", credential.NewSecret("text")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Peek(t.Context(), "token:x"); err != nil || got.Reveal() != "text" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token-big.json"), make([]byte, maxItem+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Peek(t.Context(), "token:big"); err == nil || IsMissing(err) {
		t.Errorf("an oversized item: %v", err)
	}
	if err := s.Delete(t.Context(), "token:x"); err != nil {
		t.Error(err)
	}
	// A whole run on files: one mint, listed, found again.
	c := &Cache{Store: s, LockDir: dir, Files: folder(dir), Now: time.Now}
	for _, cached := range []bool{false, true} {
		r, err := c.Fetch(within(t, time.Second), key, any0, func(context.Context) (Entry, error) { return entry(tokenText), nil })
		if err != nil || r.Cached != cached {
			t.Errorf("%+v, %v", r, err)
		}
		r.Saved(t.Context())
	}
	if list, err := c.Index().List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
