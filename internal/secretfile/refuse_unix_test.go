//go:build unix

package secretfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStore_Rejects(t *testing.T) {
	whole := `{"version":1,"host":"shop.example.test:8443","client_id":"id-1","client_secret":"dose1"}`
	write := func(text string) func(*testing.T, Store, string) {
		return func(t *testing.T, _ Store, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, f Store, path string)
		reason string
		fix    string // with %D for the folder and %F for the file
		root   bool   // only root can bring it about
	}{
		"nothing":        {spoil: write(whole)},
		"mode":           {func(_ *testing.T, _ Store, path string) { _ = os.Chmod(path, 0o640) }, "mode 0640", "chmod 600 %F", false},
		"folder's mode":  {func(_ *testing.T, f Store, _ string) { _ = os.Chmod(f.Dir, 0o711) }, "mode 0711", "chmod 700 %D", false},
		"above":          {func(_ *testing.T, f Store, _ string) { _ = os.Chmod(filepath.Dir(f.Dir), 0o777) }, "is writable by others", "chmod go-w %A", false},
		"owner":          {func(_ *testing.T, _ Store, path string) { _ = os.Chown(path, 12345, 0) }, "belongs to uid 12345", "chown 0 %F", true},
		"folder's owner": {func(_ *testing.T, f Store, _ string) { _ = os.Chown(f.Dir, 12345, 0) }, "belongs to uid 12345", "chown 0 %D", true},
		"link": {func(_ *testing.T, _ Store, path string) {
			_ = os.Rename(path, path+".real")
			_ = os.Symlink(path+".real", path)
		}, "a symbolic link, not a regular file", "", false},
		"folder's link": {func(_ *testing.T, f Store, _ string) {
			_ = os.Rename(f.Dir, f.Dir+".real")
			_ = os.Symlink(f.Dir+".real", f.Dir)
		}, "a symbolic link, not a directory", "", false},
		"pipe": {func(_ *testing.T, _ Store, path string) {
			_ = os.Remove(path)
			_ = syscall.Mkfifo(path, 0o600)
		}, "a pipe, not a regular file", "", false},
		"folder":       {func(_ *testing.T, _ Store, path string) { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) }, "a directory, not", "", false},
		"too long":     {write(whole + strings.Repeat(" ", maxItem)), "larger than", "", false},
		"empty":        {write(""), "not a secret stored by login", "", false},
		"no JSON":      {write("dose1"), "not a secret stored by login", "", false},
		"version":      {write(strings.Replace(whole, "1", "2", 1)), "not a secret stored by login", "", false},
		"no secret":    {write(strings.Replace(whole, "dose1", "", 1)), "not a secret stored by login", "", false},
		"control":      {write(strings.Replace(whole, "dose1", `a\nb`, 1)), "not a secret stored by login", "", false},
		"another host": {write(strings.Replace(whole, "8443", "443", 1)), "of another host or client ID", "", false},
		"another id":   {write(strings.Replace(whole, "id-1", "id-2", 1)), "of another host or client ID", "", false},
		"a person's":   {write(`{"version":1,"host":"shop.example.test:8443","user":"ada@example.test","refresh_token":"dose1"}`), "the login of another host or user", "", false},
		"both kinds":   {write(strings.Replace(whole, "}", `,"user":"ada@example.test","refresh_token":"dose1"}`, 1)), "not a secret stored by login", "", false},
		"no token":     {write(`{"version":1,"host":"shop.example.test:8443","user":"ada@example.test"}`), "not a secret stored by login", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				return
			}
			f := stored(t)
			path := f.Path(shopAccount)
			c.spoil(t, f, path)
			done := make(chan error, 1)
			go func() {
				// The keychain would have it: what is wrong with the file counts.
				s, err := Chain{f, found{}}.Get(context.Background(), shopAccount)
				if err != nil && !s.IsZero() {
					err = errors.New("a secret came with the error")
				}
				done <- err
			}()
			var err error
			select {
			case err = <-done:
			case <-time.After(30 * time.Second):
				t.Fatal("it blocks")
			}
			if c.reason == "" {
				if err != nil {
					t.Errorf("a good file is refused: %v", err)
				}
				return
			}
			fileRefused(t, err, c.reason, strings.NewReplacer("%F", path, "%D", f.Dir, "%A", filepath.Dir(f.Dir)).Replace(c.fix))
			if strings.Contains(err.Error(), "dose") {
				t.Errorf("the error shows the file: %v", err)
			}
		})
	}
}

// A file that is refused is listed as such, and hides no other.
func TestStore_ListUnusable(t *testing.T) {
	f := stored(t)
	if err := errors.Join(f.Set(barAccount, shopSecret), os.Chmod(f.Path(barAccount), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(f.Path(shopAccount), f.Path("secret:x:y")); err != nil {
		t.Fatal(err)
	}
	accounts, unusable, err := f.List()
	if d := cmp.Diff([]string{shopAccount}, accounts); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if text := errors.Join(unusable...); len(unusable) != 2 || !strings.Contains(text.Error(), "mode 0644") || !strings.Contains(text.Error(), "another host") {
		t.Errorf("%v", unusable)
	}
}
