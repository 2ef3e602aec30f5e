package securefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swapping exchanges two names all the time, until the test ends, and gives how
// often it has.
func swapping(t *testing.T, a, b string) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			n.Add(1)
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return &n
}

// both repeats look until it has succeeded and been refused often, or for 20 s.
func both(t *testing.T, swaps *atomic.Int64, look func() error) {
	t.Helper()
	good, refused := 0, 0
	for end := time.Now().Add(20 * time.Second); (good < 500 || refused < 500 || swaps.Load() < 500) && time.Now().Before(end) && !t.Failed(); {
		if err := look(); err == nil {
			good++
		} else {
			refused++
		}
	}
	if good == 0 || refused == 0 {
		t.Errorf("opened %d times, refused %d times, swapped %d times", good, refused, swaps.Load())
	}
}

// A link that comes between two looks at a file is never followed.
func TestFileSwappedForALink(t *testing.T) {
	d := openTemp(t)
	put(t, filepath.Join(d.Path(), "file"), "ours", 0o600)
	put(t, filepath.Join(d.Path(), "other"), "theirs", 0o600)
	if err := os.Symlink("other", filepath.Join(d.Path(), "link")); err != nil {
		t.Fatal(err)
	}
	swaps := swapping(t, filepath.Join(d.Path(), "file"), filepath.Join(d.Path(), "link"))
	both(t, swaps, func() error {
		data, err := d.ReadFile("file", 100)
		switch {
		case err == nil && string(data) != "ours":
			t.Errorf("read %q through the link", data)
		case err != nil && !strings.Contains(err.Error(), "symbolic link") && !strings.Contains(err.Error(), "comes and goes"):
			t.Error(err)
		}
		return err
	})
}

// Nor is one that comes between two looks at the folder.
func TestFolderSwappedForALink(t *testing.T) {
	parent := t.TempDir()
	ours, theirs := filepath.Join(parent, "run"), filepath.Join(parent, "theirs")
	if err := errors.Join(os.Mkdir(ours, 0o700), os.Mkdir(theirs, 0o700), os.Symlink("theirs", filepath.Join(parent, "link"))); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(theirs, "mark"), "x", 0o600)
	swaps := swapping(t, ours, filepath.Join(parent, "link"))
	both(t, swaps, func() error {
		d, err := OpenDir([]string{ours})
		if err != nil {
			return err
		}
		defer d.Close()
		if _, err := d.ReadFile("mark", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder behind the link was opened (%v)", err)
		}
		return nil
	})
}
