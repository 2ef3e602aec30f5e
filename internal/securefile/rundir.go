package securefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/filelock"
)

// A run directory is created under the first prefix and renamed to the second once
// its lock is held, so that no sweep sees it unlocked.
const (
	newPrefix = "new-"
	runPrefix = "run-"
	lockFile  = "lock"
)

// runName matches those names. The runtime directory may be a service's own, with
// other directories in it.
var runName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(` + newPrefix + `|` + runPrefix + `)[a-z2-7]{8}$`) })

// RunDir is a directory of one run inside the runtime directory. It is locked while
// the run exists, and removed by a later run if this one is killed.
type RunDir struct {
	*Dir
	parent     *os.Root
	parentPath string
	name       string
	unlock     func()
}

// NewRunDir creates a directory for this run in d. Errors: *Error.
func (d *Dir) NewRunDir() (*RunDir, error) {
	parent, err := d.root.OpenRoot(".")
	if err != nil {
		return nil, systemError(d.path, err)
	}
	id := strings.ToLower(rand.Text()[:8]) // short: socket paths are limited
	r := &RunDir{parent: parent, parentPath: d.path, name: newPrefix + id, unlock: func() {}}
	if err := r.create(runPrefix + id); err != nil {
		_ = r.RemoveAll()
		var known *Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, systemError(d.path, err)
	}
	return r, nil
}

func (r *RunDir) create(name string) error {
	if err := r.parent.Mkdir(r.name, 0o700); err != nil {
		return err
	}
	unlock, ok, err := filelock.TryLock(filepath.Join(r.parentPath, r.name, lockFile))
	r.unlock = unlock
	switch {
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		return err
	case err == nil && !ok:
		return fmt.Errorf("the lock of %s is held by another process", r.name)
	}
	if err := r.parent.Rename(r.name, name); err != nil {
		return err
	}
	r.name = name
	if r.Dir, err = OpenDir([]string{filepath.Join(r.parentPath, name)}); err != nil {
		return err
	}
	return nil
}

// RemoveAll removes the directory with its content, then releases the lock.
func (r *RunDir) RemoveAll() error {
	if r.Dir != nil {
		_ = r.Close()
	}
	return errors.Join(removeLocked(r.parent, r.name, r.unlock), r.parent.Close())
}

// removeLocked removes a directory while its lock is held; if that fails, as on
// Windows where an open file cannot be removed, once more after unlocking.
func removeLocked(parent *os.Root, name string, unlock func()) error {
	err := removeDir(parent, name)
	if unlock(); err != nil {
		err = removeDir(parent, name)
	}
	return err
}

// removeDir removes a directory with its content. The lock goes last, so that a
// directory without one is empty.
func removeDir(parent *os.Root, name string) error {
	entries, err := fs.ReadDir(parent.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err == nil && e.Name() != lockFile {
			err = parent.RemoveAll(name + "/" + e.Name())
		}
	}
	if err != nil {
		return err
	}
	if err := parent.RemoveAll(name + "/" + lockFile); err != nil {
		return err
	}
	return parent.Remove(name)
}

// SweepRunDirs removes the directories of runs that were killed, and returns their
// number. It never removes one whose run still exists or that is not a run's, and follows
// no link. Errors: the system's; what could not be removed is left for the next
// sweep.
func (d *Dir) SweepRunDirs() (removed int, err error) {
	names, _, err := readNames(d.root, maxScanned)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, name := range names {
		if !runName().MatchString(name) {
			continue
		}
		unlock, abandoned := d.lockAbandoned(name)
		if !abandoned {
			unlock()
		} else if err := removeLocked(d.root, name, unlock); err != nil {
			failed = append(failed, err)
		} else {
			removed++
		}
	}
	return removed, errors.Join(failed...)
}

// lockAbandoned reports whether a directory's run has ended. Its lock is then held
// until unlock is called.
func (d *Dir) lockAbandoned(name string) (unlock func(), abandoned bool) {
	unlock = func() {}
	info, err := d.root.Lstat(name)
	if err != nil || !info.IsDir() {
		return unlock, false
	}
	old := time.Since(info.ModTime()) > abandonedAfter
	lock, err := d.root.Lstat(name + "/" + lockFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := fs.ReadDir(d.root.FS(), name)
		return unlock, old && err == nil && len(entries) == 0
	case err != nil || !lock.Mode().IsRegular() || lock.Size() != 0:
		return unlock, false
	case strings.HasPrefix(name, newPrefix) && !old:
		return unlock, false
	}
	unlock, ok, err := filelock.TryLock(filepath.Join(d.path, name, lockFile))
	return unlock, ok && err == nil
}
