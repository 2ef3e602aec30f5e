package securefile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Dir is an open directory that is ours and closed to others. Its files are opened
// relative to the open directory, so that it cannot be swapped for another.
type Dir struct {
	root *os.Root
	path string
}

// OpenDir opens the first candidate that is, or can be created as, a real directory
// that is ours and closed to others, in a parent where no one else can replace it.
// Missing parents are created with mode 0700, except under /run.
func OpenDir(candidates []string) (*Dir, error) {
	var failed error
	for _, c := range candidates {
		d, err := openDir(c, os.Geteuid())
		if err == nil {
			return d, nil
		}
		if failed != nil {
			err = fmt.Errorf("%w; %w", failed, err)
		}
		failed = err
	}
	return nil, cmp.Or(failed, errors.New("no candidate directory"))
}

// sharedDirs belong to everybody, whatever their mode is.
var sharedDirs = []string{"/", "/tmp", "/var/tmp", "/private/tmp", "/dev/shm", "/run", "/var/run"}

const useOwnDir = "name a directory of your own with mode 0700, or one that does not exist yet"

func openDir(candidate string, uid int) (*Dir, error) {
	path, err := filepath.Abs(candidate)
	switch {
	case candidate == "" || err != nil:
		return nil, reject(candidate, useOwnDir, "is not a path")
	case slices.Contains(sharedDirs, path):
		return nil, reject(path, useOwnDir, "is a shared directory")
	}
	if err := checkAncestor(path, uid); err != nil {
		return nil, err
	}
	made := os.MkdirAll(filepath.Dir(path), 0o700)
	if made == nil {
		made = mkdirPrivate(path)
	}
	named, err := os.Lstat(path)
	os.SameFile(named, named) // on Windows, os reads a file's ID only when it is compared
	switch {
	case err != nil:
		return nil, systemError(path, cmp.Or(made, err))
	case !named.IsDir():
		return nil, reject(path, useOwnDir, "is %s, not a directory", fileType(named.Mode()))
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if err := checkOpened(root, path, named, uid); err != nil {
		_ = root.Close()
		return nil, err
	}
	return &Dir{root: root, path: path}, nil
}

// checkOpened checks that the opened directory is named, which is not a link.
func checkOpened(root *os.Root, path string, named fs.FileInfo, uid int) error {
	f, err := root.Open(".")
	if err != nil {
		return systemError(path, err)
	}
	defer f.Close()
	fi, statErr := f.Stat()
	m, err := metaOf(f)
	switch {
	case statErr != nil || err != nil:
		return systemError(path, cmp.Or(statErr, err))
	case !os.SameFile(fi, named):
		return reject(path, "", "was replaced during the check")
	}
	return m.checkPrivate(path, uid, "700")
}

// checkAncestor checks the nearest existing directory above path, as a user who can
// rename in it can replace ours. It must be ours or root's, and writable by its owner
// alone or sticky: root must not create anything in a user's HOME.
func checkAncestor(path string, uid int) error {
	parent := filepath.Dir(path)
	ancestor := parent
	m, err := metaOfPath(ancestor)
	for errors.Is(err, fs.ErrNotExist) && ancestor != filepath.Dir(ancestor) {
		ancestor = filepath.Dir(ancestor)
		m, err = metaOfPath(ancestor)
	}
	switch {
	case err != nil:
		return systemError(ancestor, err)
	case m.owner != uid && m.owner != rootUID:
		return reject(ancestor, useOwnDir, "belongs to uid %d, not to uid %d", m.owner, uid)
	case m.mode&fs.ModeSticky == 0 && m.checkTrusted(ancestor, uid) != nil:
		return m.checkTrusted(ancestor, uid)
	case ancestor != parent && (strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/var/run/")):
		return reject(parent, "create "+parent+" as root, or name another directory", "does not exist")
	}
	return nil
}

// Path returns the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Close closes the directory. Open files stay open.
func (d *Dir) Close() error { return d.root.Close() }

// ReadFile reads a file of at most max bytes. One that is not regular (a symbolic
// link included), not ours, or accessible by others is rejected.
func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	path := filepath.Join(d.path, name)
	fi, err := d.root.Lstat(name) // os.Root would follow a link to another of our files
	switch {
	case err != nil:
		return nil, systemError(path, err)
	case !fi.Mode().IsRegular():
		return nil, notRegular(path, fi.Mode())
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, systemError(path, err)
	}
	return readAll(path, f, max, func(_ *os.File, m meta) error { return m.checkPrivate(path, os.Geteuid(), "600") })
}

// WriteFile atomically replaces a file: readers see the old content or the new. It
// is not synced: use it for what can be recreated after a crash of the machine.
func (d *Dir) WriteFile(name string, data []byte) error { return d.write(name, data, false) }

// WriteFileSync is WriteFile for a file that must survive a crash of the machine.
func (d *Dir) WriteFileSync(name string, data []byte) error { return d.write(name, data, true) }

func (d *Dir) write(name string, data []byte, durable bool) error {
	defer removeTemporary(d.root, ".") // of all files: the directory is ours
	return replace(d.root, filepath.Join(d.path, name), data, durable, nil)
}

// Names returns the sorted names in the directory.
func (d *Dir) Names() (names []string, err error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, systemError(d.path, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Remove removes a file if it exists.
func (d *Dir) Remove(name string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return systemError(filepath.Join(d.path, name), err)
	}
	return nil
}

// RuntimeDirs lists the runtime directories to try: only the option if it is set; else
// that of macOS's caches, which Time Machine skips, or of Windows's local application
// data, or systemd's RUNTIME_DIRECTORY (systemd.exec), the user's runtime directory (XDG
// Base Directory Specification) and one in the home directory. Relative ones are skipped.
func RuntimeDirs(option string, env func(string) string, uid int, home string) []string {
	if option != "" {
		return []string{option}
	}
	var list []string
	switch runtime.GOOS {
	case "darwin":
		list = []string{filepath.Join(home, "Library", "Caches", "lakebase", "run")}
	case "windows":
		list = []string{filepath.Join(env("LOCALAPPDATA"), "lakebase", "run")}
	default:
		list = append(filepath.SplitList(env("RUNTIME_DIRECTORY")), filepath.Join(env("XDG_RUNTIME_DIR"), "lakebase"),
			fmt.Sprintf("/run/user/%d/lakebase", uid), filepath.Join(home, ".local", "state", "lakebase", "run"))
	}
	return slices.DeleteFunc(list, func(dir string) bool { return !filepath.IsAbs(dir) })
}

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
		unlock, ok, err := newRunLock(d.root, d.path, runLockName(name))
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
