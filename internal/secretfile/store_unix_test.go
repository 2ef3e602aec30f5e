//go:build unix

package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

const (
	shop     = "shop.example.test:8443"
	shopFile = `{"version":1,"host":"shop.example.test:8443","client_id":"id-1","client_secret":"canary\"1\\é"}`
	adaFile  = `{"version":1,"host":"shop.example.test:8443","user":"ada@example.test","refresh_token":"canary\"1\\é"}`
)

var (
	shopAccount = config.SecretAccount(shop, "id-1")
	shopRecord  = config.RecordAccount(shop, "id-1")
	adaAccount  = config.RefreshAccount(shop, "ada@example.test")
	barAccount  = config.SecretAccount("bar.example.test", "id-1")
	secret      = credential.NewSecret(`canary"1\é`)
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// stored returns a store that holds the secret of shopAccount.
func stored(t *testing.T) Store {
	t.Helper()
	s := Store{Dir: filepath.Join(t.TempDir(), "lakebase", "secrets")}
	must(t, s.Set(t.Context(), shopAccount, secret))
	return s
}

// A secret and a login are stored in this form, and read again.
func TestStore(t *testing.T) {
	s := stored(t)
	must(t, s.Set(t.Context(), adaAccount, credential.NewSecret("before")), s.Set(t.Context(), adaAccount, secret))
	for account, text := range map[string]string{shopAccount: shopFile, adaAccount: adaFile} {
		if got, err := s.Get(t.Context(), account); err != nil || !got.Equal(secret) {
			t.Errorf("%s: got %v", account, err)
		}
		if data, err := os.ReadFile(s.Path(account)); err != nil || string(data) != text+"\n" {
			t.Errorf("%s: got file %s, %v", account, data, err)
		}
	}
	for path, mode := range map[string]fs.FileMode{s.Dir: 0o700, s.Path(shopAccount): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v", path, fi, err)
		}
	}
	if _, err := s.Get(t.Context(), barAccount); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
	accounts, unusable, err := s.List()
	slices.Sort(accounts)
	if !slices.Equal(accounts, []string{adaAccount, shopAccount}) || len(unusable) > 0 || err != nil {
		t.Errorf("List: got %v, %v, %v", accounts, unusable, err)
	}
	for account, text := range map[string]string{"token:x": "s", barAccount: "a\xff"} {
		if err := s.Set(t.Context(), account, credential.NewSecret(text)); err == nil || !strings.Contains(err.Error(), "read back differently") {
			t.Errorf("%s: got %v", account, err)
		}
	}
	for _, native := range []string{config.NativeAccount("ep-1.example.test:5432", "1:b"), config.NativeAccount("[::1]:5432", "b")} {
		must(t, s.Set(t.Context(), native, secret))
		if got, err := s.Get(t.Context(), native); err != nil || !got.Equal(secret) {
			t.Errorf("%s: got %v", native, err)
		}
	}
	must(t, s.Ready())
	if _, err := s.Get(t.Context(), shopRecord); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no record", err)
	}
	must(t, s.Set(t.Context(), shopRecord, credential.NewSecret("{}")))
	if got, err := s.Get(t.Context(), shopRecord); got.Reveal() != "{}\n" || err != nil {
		t.Errorf("got record %q, %v", got.Reveal(), err)
	}
}

// A file is used only if it and its directory are private, and if it holds one secret
// of this account.
func TestStore_Rejects(t *testing.T) {
	const notStored = "not a secret stored by login"
	text := func(old, new string) func(Store, string) error {
		return func(_ Store, path string) error {
			return os.WriteFile(path, []byte(strings.Replace(shopFile, old, new, 1)), 0o600)
		}
	}
	for name, c := range map[string]struct {
		spoil  func(s Store, path string) error
		reason string
		fix    string // with %D for the directory and %F for the file
	}{
		"mode":             {func(_ Store, path string) error { return os.Chmod(path, 0o640) }, "mode 0640", "chmod 600 %F"},
		"directory's mode": {func(s Store, _ string) error { return os.Chmod(s.Dir, 0o711) }, "mode 0711", "chmod 700 %D"},
		"too large":        {text("}", "}"+strings.Repeat(" ", maxItem)), "larger than", ""},
		"no JSON":          {text("{", "canary"), notStored, ""},
		"version":          {text("1", "2"), notStored, ""},
		"no secret":        {text(`canary\"1\\é`, ""), notStored, ""},
		"control":          {text("canary", `canary\n`), notStored, ""},
		"both kinds":       {text("}", `,"user":"ada@example.test","refresh_token":"canary"}`), notStored, ""},
		"no token":         {text(`"client_id":"id-1","client_secret"`, `"user":"ada@example.test","x"`), notStored, ""},
		"another host":     {text("8443", "443"), "another host, user or client ID", ""},
		"another client":   {text("id-1", "id-2"), "another host, user or client ID", ""},
		"a user's":         {text(shopFile, adaFile), "another host, user or client ID", ""},
	} {
		s := stored(t)
		path := s.Path(shopAccount)
		must(t, c.spoil(s, path))
		got, err := s.Get(t.Context(), shopAccount)
		var e *securefile.Error
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.reason) || !got.IsZero() || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %q, %v, want %q", name, got.Reveal(), err, c.reason)
			continue
		}
		fix := strings.NewReplacer("%F", path, "%D", s.Dir).Replace(c.fix)
		if c.fix != "" && e.Hint() != "run: "+fix {
			t.Errorf("%s: got hint %q, want %q", name, e.Hint(), fix)
		}
	}
}

// A file that cannot be used is listed as such, and hides no other.
func TestStore_ListUnusable(t *testing.T) {
	s := stored(t)
	must(t, s.Set(t.Context(), barAccount, secret), os.Chmod(s.Path(barAccount), 0o644), os.Link(s.Path(shopAccount), s.Path("secret:x:y")))
	accounts, unusable, err := s.List()
	if !slices.Equal(accounts, []string{shopAccount}) || err != nil {
		t.Errorf("got %v, %v", accounts, err)
	}
	if all := errors.Join(unusable...); len(unusable) != 2 || !strings.Contains(all.Error(), "mode 0644") || !strings.Contains(all.Error(), "another host") {
		t.Errorf("got %v", unusable)
	}
}

func TestStore_Remove(t *testing.T) {
	s := stored(t)
	must(t, s.Set(t.Context(), shopRecord, credential.NewSecret("{}")), s.Set(t.Context(), barAccount, secret))
	for _, name := range []string{"." + fileName(shopAccount) + ".KILLED", "." + fileName(shopAccount) + recordSuffix + ".KILLED", "notes.txt"} {
		must(t, os.WriteFile(filepath.Join(s.Dir, name), nil, 0o600))
	}
	expect := func(removed bool, err error, want bool, left ...string) {
		t.Helper()
		var names []string
		entries, readErr := os.ReadDir(s.Dir)
		must(t, readErr)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if diff := cmp.Diff(left, names); removed != want || err != nil || diff != "" {
			t.Errorf("got %t, %v, want %t\n%s", removed, err, want, diff)
		}
	}
	removed, err := s.Remove(shopAccount)
	expect(removed, err, true, fileName(barAccount), "notes.txt")
	removed, err = s.Remove(shopAccount)
	expect(removed, err, false, fileName(barAccount), "notes.txt")
	removed, err = s.RemoveAll()
	expect(removed, err, true, "notes.txt")

	s = stored(t)
	if removed, err := s.RemoveAll(); !removed || err != nil {
		t.Errorf("got %t, %v", removed, err)
	}
	if _, err := os.Lstat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
}
