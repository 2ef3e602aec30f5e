//go:build unix

package secretfile

import (
	"context"
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

var (
	shopAccount = config.SecretAccount("shop.example.test:8443", "id-1")
	barAccount  = config.SecretAccount("bar.example.test", "id-1")
	shopSecret  = credential.NewSecret(`dose"1\é`)
)

// stored gives files with the secret of shopAccount among them.
func stored(t *testing.T) Store {
	t.Helper()
	f := Store{Dir: filepath.Join(t.TempDir(), "lakebase", "secrets")}
	if err := f.Set(shopAccount, shopSecret); err != nil {
		t.Fatal(err)
	}
	return f
}

// fileRefused wants a *securefile.Error with these words and this command.
func fileRefused(t *testing.T, err error, reason, fix string) {
	t.Helper()
	var e *securefile.Error
	if !errors.As(err, &e) || !strings.Contains(e.Reason, reason) || e.Fix != fix {
		t.Errorf("%T %v (%+v), and not %q with %q", err, err, e, reason, fix)
	}
}

func TestStore(t *testing.T) {
	f := stored(t)
	if got, err := f.Get(shopAccount); err != nil || !got.Equal(shopSecret) {
		t.Errorf("read back: %v", err)
	}
	for path, mode := range map[string]fs.FileMode{f.Dir: 0o700, f.Path(shopAccount): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, fi, err)
		}
	}
	for _, other := range []string{barAccount, config.SecretAccount("shop.example.test:8443", "id-2")} {
		if _, err := f.Get(other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", other, err)
		}
	}
	if err := f.Set(shopAccount, credential.NewSecret("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(shopAccount); err != nil || got.Reveal() != "new" {
		t.Errorf("after it was replaced: %v", err)
	}
	if err := f.Set(barAccount, shopSecret); err != nil {
		t.Fatal(err)
	}
	accounts, unusable, err := f.List()
	if len(accounts) != 2 || len(unusable) > 0 || err != nil {
		t.Errorf("%v %v %v", accounts, unusable, err)
	}
}

// A user's login is stored beside the secrets, in its own form; what an earlier
// version wrote is read.
func TestStore_UserLogins(t *testing.T) {
	f := stored(t)
	ada := config.RefreshAccount("shop.example.test:8443", "ada@example.test")
	if _, err := f.Get(ada); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	if err := f.Set(ada, shopSecret); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(ada); err != nil || !got.Equal(shopSecret) {
		t.Errorf("read back: %v", err)
	}
	text, err := os.ReadFile(f.Path(ada))
	if d := cmp.Diff(`{"version":1,"host":"shop.example.test:8443","user":"ada@example.test","refresh_token":"dose\"1\\é"}`+"\n", string(text)); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	old := `{"version":1,"host":"shop.example.test:8443","client_id":"id-1","client_secret":"old"}`
	if err := os.WriteFile(f.Path(shopAccount), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(shopAccount); err != nil || got.Reveal() != "old" {
		t.Errorf("an old file: %v", err)
	}
	accounts, unusable, err := f.List()
	slices.Sort(accounts)
	if d := cmp.Diff([]string{ada, shopAccount}, accounts); d != "" || len(unusable) > 0 || err != nil {
		t.Errorf("%v %v\n%s", unusable, err, d)
	}
	if removed, err := f.Remove(ada); !removed || err != nil {
		t.Errorf("%t %v", removed, err)
	}
	if _, err := f.Get(shopAccount); err != nil {
		t.Errorf("the secret went too: %v", err)
	}
	if err := f.Set("token:x", shopSecret); err == nil || !strings.Contains(err.Error(), "not the account of a secret") {
		t.Errorf("%v", err)
	}
}

func TestStore_Remove(t *testing.T) {
	f := stored(t)
	put := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(f.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		t.Helper()
		entries, err := os.ReadDir(f.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if err := f.SetRecord(shopAccount, "{}"); err != nil {
		t.Fatal(err)
	}
	put("." + fileName(shopAccount) + ".KILLED")
	put("." + fileName(shopAccount) + recordSuffix + ".KILLED")
	put("notes.txt")
	if err := f.Set(barAccount, shopSecret); err != nil {
		t.Fatal(err)
	}
	if removed, err := f.Remove(shopAccount); !removed || err != nil {
		t.Errorf("%t %v", removed, err)
	}
	if d := cmp.Diff([]string{fileName(barAccount), "notes.txt"}, left()); d != "" {
		t.Error(d)
	}
	if removed, err := f.Remove(shopAccount); removed || err != nil {
		t.Errorf("again: %t %v", removed, err)
	}
	if removed, err := f.RemoveAll(); !removed || err != nil {
		t.Errorf("all: %t %v", removed, err)
	}
	if d := cmp.Diff([]string{"notes.txt"}, left()); d != "" {
		t.Error(d)
	}
	f = stored(t)
	if removed, err := f.RemoveAll(); !removed || err != nil {
		t.Errorf("all: %t %v", removed, err)
	}
	if _, err := os.Lstat(f.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

// Nothing is made where nothing is stored.
func TestStore_Missing(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "lakebase", "secrets"), "/dev/null/.config/lakebase/secrets"} {
		f := Store{Dir: dir}
		if _, err := f.Get(shopAccount); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if accounts, unusable, err := f.List(); len(accounts)+len(unusable) > 0 || err != nil {
			t.Errorf("%v %v %v", accounts, unusable, err)
		}
		if removed, err := f.RemoveAll(); removed || err != nil {
			t.Errorf("%t %v", removed, err)
		}
		if _, err := os.Lstat(filepath.Dir(dir)); err == nil {
			t.Errorf("%s was made", filepath.Dir(dir))
		}
	}
}

// found is a keychain that has every secret.
type found struct{}

func (found) Get(context.Context, string) (credential.Secret, error) {
	return credential.NewSecret("the keychain's"), nil
}

func TestChain(t *testing.T) {
	f := stored(t)
	s := Chain{f, found{}}
	if got, err := s.Get(context.Background(), shopAccount); err != nil || !got.Equal(shopSecret) {
		t.Errorf("the file does not go first: %v", err)
	}
	if got, err := s.Get(context.Background(), barAccount); err != nil || got.Reveal() != "the keychain's" {
		t.Errorf("the keychain is not asked: %v", err)
	}
}
