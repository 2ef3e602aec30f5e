package securefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func openTemp(t *testing.T) *Dir {
	t.Helper()
	d, err := OpenDir([]string{filepath.Join(t.TempDir(), "a", "run")})
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// assertPrivate checks that a file has one owner, us, and an access list for the owner
// and the system alone.
func assertPrivate(t *testing.T, path string) {
	t.Helper()
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	must(t, err)
	isWine := windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil // has only Unix modes
	if dacl := sd.String(); !isWine && (!strings.Contains(dacl, "D:P") || strings.Count(dacl, "(A;") != 2 || !strings.Contains(dacl, ";;;SY)")) {
		t.Errorf("%s: got %s, want access for us and the system", path, dacl)
	}
	if m, err := metaOfPath(path); err != nil || m.owner != os.Geteuid() && m.owner != rootUID {
		t.Errorf("%s: got %+v, %v, want ourselves as its owner", path, m, err)
	}
}

func TestDir(t *testing.T) {
	d := openTemp(t)
	for _, text := range []string{"one", "two"} {
		must(t, d.WriteFile("f", []byte(text)))
		if data, err := d.ReadFile("f", 10); err != nil || string(data) != text {
			t.Errorf("got %q, %v", data, err)
		}
	}
	assertPrivate(t, d.Path())
	assertPrivate(t, filepath.Join(d.Path(), "f"))
	if names, err := d.Names(); err != nil || len(names) != 1 {
		t.Errorf("got %q, %v, want f alone", names, err)
	}
	must(t, d.Remove("f"), d.Remove("f"))
	if _, err := d.ReadFile("f", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	file := filepath.Join(d.Path(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, filepath.Join(file, "x"), ""} {
		if _, err := OpenDir([]string{path}); !errors.As(err, new(*Error)) {
			t.Errorf("%q: got %v, want an *Error", path, err)
		}
	}
}

// A file that another process reads is replaced when it is closed.
func TestUpdateFile_OpenElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "profiles.ini")
	update := func(path string, data []byte) error {
		return UpdateFile(t.Context(), path, func([]byte) ([]byte, error) { return data, nil })
	}
	must(t, update(path, []byte("old")))
	assertPrivate(t, path)
	for i, write := range []func(string, []byte) error{update, ReplaceFile} {
		f, err := os.Open(path)
		must(t, err)
		time.AfterFunc(100*time.Millisecond, func() { _ = f.Close() })
		want := fmt.Sprintf("new %d", i)
		must(t, write(path, []byte(want)))
		if data, err := ReadProfile(path); err != nil || string(data) != want {
			t.Errorf("got %q, %v, want %q", data, err, want)
		}
	}
	must(t, CheckWritable(path, 10))
	if secret, err := ReadSecret(path, SecretRules{Password: true}); err != nil || secret.Reveal() != "new 1" {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 1 {
		t.Errorf("got %q, want a lock and no temporary file", left)
	}
}

func TestUpdateFile_ConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profiles.ini")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				err := UpdateFile(context.Background(), path, func(old []byte) ([]byte, error) { return append(old, "line\r\n"...), nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if data, err := ReadProfile(path); err != nil || strings.Count(string(data), "\r\n") != 40 {
		t.Errorf("got %d bytes, %v, want 40 lines", len(data), err)
	}
}

func TestRunDir(t *testing.T) {
	d := openTemp(t)
	alive, err := d.NewRunDir()
	must(t, err, alive.WriteFile("passfile", nil))
	killed, err := d.NewRunDir()
	must(t, err, killed.WriteFile("passfile", []byte("canary")))
	killed.unlock() // as the system does
	must(t, killed.Close())
	if n, err := d.SweepRunDirs(); n != 1 || err != nil {
		t.Errorf("got %d swept, %v, want 1", n, err)
	}
	if names, err := d.Names(); err != nil || len(names) != 2 || names[0] != runLockName(alive.name) {
		t.Errorf("got %q, %v, want %s and its lock", names, err, alive.name)
	}
	must(t, alive.RemoveAll())
	if names, err := d.Names(); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
}

func TestRuntimeDirs(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"LOCALAPPDATA": `C:\Users\a b\AppData\Local`, "XDG_RUNTIME_DIR": `C:\x`}[name]
	}
	if got := RuntimeDirs("", env, -1, `C:\Users\a b`); len(got) != 1 || got[0] != `C:\Users\a b\AppData\Local\lakebase\run` {
		t.Errorf("got %q", got)
	}
	if got := RuntimeDirs(`D:\run`, env, -1, ""); len(got) != 1 || got[0] != `D:\run` {
		t.Errorf("got %q", got)
	}
}
