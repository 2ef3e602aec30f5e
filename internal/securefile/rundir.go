package securefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// runLockName is the name of the lock of a run's directory, which exists only while the
// lock does. The runtime directory may be a service's own, with other files in it.
func runLockName(name string) string { return "." + name + ".lock" }

// RunDir is a directory of one run inside the runtime directory. It is locked while
// the run exists, and removed by a later run if this one is killed.
type RunDir struct {
	*Dir
	parent *Dir
	name   string
	unlock func()
}

// NewRunDir creates a directory for this run in d, which must stay open.
func (d *Dir) NewRunDir() (*RunDir, error) {
	for range 10 {
		name := "run-" + strings.ToLower(rand.Text()[:8]) // short: socket paths are limited
		unlock, ok, err := TryLock(filepath.Join(d.path, runLockName(name)))
		if err == nil && !ok {
			continue // a sweep has taken it
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return nil, systemError(d.path, err)
		}
		r := &RunDir{parent: d, name: name, unlock: unlock}
		if r.Dir, err = OpenDir([]string{filepath.Join(d.path, name)}); err != nil {
			_ = removeRun(d.root, name, unlock)
			return nil, systemError(d.path, err)
		}
		return r, nil
	}
	return nil, reject(d.path, "", "its locks are taken by other processes")
}

// RemoveAll removes the directory with its content, and its lock.
func (r *RunDir) RemoveAll() error {
	_ = r.Close()
	return removeRun(r.parent.root, r.name, r.unlock)
}

// removeRun removes the lock last, so that a sweep finds what could not be removed. It
// releases it before, as Windows does not remove an open file.
func removeRun(parent *os.Root, name string, unlock func()) error {
	err := parent.RemoveAll(name)
	unlock()
	if err == nil {
		err = parent.Remove(runLockName(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SweepRunDirs removes the directories of runs that were killed, and returns their
// number. It never removes one whose run still exists or that is not a run's, and follows
// no link. What could not be removed is left for the next sweep.
func (d *Dir) SweepRunDirs() (removed int, err error) {
	locks, err := fs.Glob(d.root.FS(), runLockName("run-????????"))
	failed := []error{err}
	for _, lock := range locks {
		if info, err := d.root.Lstat(lock); err != nil || !info.Mode().IsRegular() || info.Size() != 0 {
			continue
		}
		if unlock, ok, err := TryLock(filepath.Join(d.path, lock)); ok && err == nil {
			name := strings.TrimSuffix(strings.TrimPrefix(lock, "."), ".lock")
			failed = append(failed, removeRun(d.root, name, unlock))
			removed++
		}
	}
	return removed, errors.Join(failed...)
}
