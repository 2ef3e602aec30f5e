package securefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
// Missing parents are created with mode 0700, except under /run, which belongs to
// the system.
//
// Errors: one *Error for each candidate, wrapped.
func OpenDir(candidates []string) (*Dir, error) {
	var failed error
	for _, c := range candidates {
		d, err := openDir(c, os.Geteuid())
		switch {
		case err == nil:
			return d, nil
		case failed == nil:
			failed = err
		default:
			failed = fmt.Errorf("%w; %w", failed, err)
		}
	}
	if failed == nil {
		failed = errors.New("no candidate directory")
	}
	return nil, failed
}

// sharedDirs belong to everybody, whatever their mode is.
var sharedDirs = []string{"/", "/tmp", "/var/tmp", "/private/tmp", "/dev/shm", "/run", "/var/run"}

func openDir(candidate string, uid int) (*Dir, *Error) {
	path, err := filepath.Abs(candidate)
	switch {
	case candidate == "" || err != nil:
		return nil, reject(candidate, "is not a path").advise("name a directory of your own with mode 0700, or one that does not exist yet")
	case slices.Contains(sharedDirs, path):
		return nil, reject(path, "is a shared directory").advise("name a directory of your own with mode 0700, or one that does not exist yet")
	}
	if e := makeDir(path, uid); e != nil {
		return nil, e
	}
	named, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, systemError(path, err)
	case !named.IsDir():
		return nil, reject(path, "is %s, not a directory", fileType(named.Mode())).advise("name a directory of your own with mode 0700, or one that does not exist yet")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if e := checkOpened(root, path, named, uid); e != nil {
		_ = root.Close()
		return nil, e
	}
	return &Dir{root: root, path: path}, nil
}

// checkOpened checks the directory that was opened: it must be the one that was
// seen not to be a link.
func checkOpened(root *os.Root, path string, named fs.FileInfo, uid int) *Error {
	f, err := root.Open(".")
	if err != nil {
		return systemError(path, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return systemError(path, err)
	}
	if !os.SameFile(fi, named) {
		return reject(path, "was replaced during the check")
	}
	m, err := metaOf(f)
	if err != nil {
		return systemError(path, err)
	}
	return checkPrivate(path, m, uid, "700")
}

// makeDir creates the directory unless something exists there. It checks the
// nearest existing ancestor: a user who can rename in it can replace our directory.
// Nothing is created in another user's directory, such as root would with a
// user's HOME.
func makeDir(path string, uid int) *Error {
	parent := filepath.Dir(path)
	ancestor := parent
	for ; filepath.Dir(ancestor) != ancestor; ancestor = filepath.Dir(ancestor) {
		if _, err := os.Stat(ancestor); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if e := checkAncestor(path, ancestor, uid); e != nil {
		return e
	}
	if ancestor != parent && (strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/var/run/")) {
		return reject(path, "%s does not exist", parent).advise("create " + parent + " as root, or name another directory")
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return systemError(path, err)
	}
	err := os.Mkdir(path, 0o700)
	if err == nil {
		err = restrictDirToOwner(path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return systemError(path, err)
	}
	return nil
}

// checkAncestor accepts directories of ours or root's that only their owner can
// write in, or that have the sticky bit.
func checkAncestor(path, ancestor string, uid int) *Error {
	m, err := metaOfPath(ancestor)
	switch {
	case err != nil:
		return systemError(ancestor, err)
	case m.owner != uid && m.owner != rootUID:
		return reject(path, "parent %s belongs to uid %d, not to uid %d", ancestor, m.owner, uid).advise("name a directory of your own with mode 0700, or one that does not exist yet")
	case m.mode&othersWrite != 0 && m.mode&fs.ModeSticky == 0:
		e := rejectWithFix(ancestor, "chmod go-w", "parent %s is writable by others (mode %04o)", ancestor, m.mode.Perm())
		e.Path = path
		return e
	}
	return nil
}

// Path returns the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Close closes the directory. Open files stay open.
func (d *Dir) Close() error { return d.root.Close() }

// maxReadTries bounds how often ReadFile retries when a file is replaced between its
// steps: other processes of ours do that.
const maxReadTries = 10

var errReplaced = errors.New("replaced while it was opened")

// ReadFile reads a file of at most max bytes. One that is not regular (a symbolic
// link included), not ours, or accessible by others is rejected.
//
// Errors: *Error, which is also fs.ErrNotExist if there is no file.
func (d *Dir) ReadFile(name string, max int64) ([]byte, error) {
	if !isPlainName(name) {
		return nil, reject(d.path, "invalid file name %q", name)
	}
	path := filepath.Join(d.path, name)
	for range maxReadTries {
		f, err := d.open(name, path)
		if errors.Is(err, errReplaced) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAll(path, f, max)
	}
	return nil, reject(path, "is replaced too often to be read")
}

// open is one try of ReadFile. A link is detected before the file is opened, as
// os.Root follows links inside the directory, and a file that was swapped in
// between by its identity.
func (d *Dir) open(name, path string) (*os.File, error) {
	named, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return nil, systemError(path, err)
	case !named.Mode().IsRegular():
		return nil, notRegular(path, named.Mode())
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, systemError(path, err)
	}
	fi, err := f.Stat()
	if err == nil && !os.SameFile(fi, named) {
		err = errReplaced
	}
	m, metaErr := metaOf(f)
	if err = errors.Join(err, metaErr); err == nil {
		e := checkPrivate(path, m, os.Geteuid(), "600")
		if e == nil {
			return f, nil
		}
		err = e
	}
	_ = f.Close()
	return nil, err
}

// WriteFile atomically replaces a file: readers see the old content or the new. It
// is not synced: use it for what can be recreated after a crash of the machine.
func (d *Dir) WriteFile(name string, data []byte) error { return d.write(name, data, false) }

// WriteFileSync is WriteFile for a file that must survive a crash of the machine.
func (d *Dir) WriteFileSync(name string, data []byte) error { return d.write(name, data, true) }

func (d *Dir) write(name string, data []byte, durable bool) error {
	if !isPlainName(name) {
		return reject(d.path, "invalid file name %q", name)
	}
	if err := replace(d.root, name, data, 0o600, durable, nil); err != nil {
		return systemError(filepath.Join(d.path, name), err)
	}
	removeTemporary(d.root, ".")
	return nil
}

// Names returns the sorted names in the directory; more than max are an error.
func (d *Dir) Names(max int) ([]string, error) {
	names, more, err := readNames(d.root, max)
	switch {
	case err != nil:
		return nil, systemError(d.path, err)
	case more:
		return nil, reject(d.path, "contains more than %d files", max)
	}
	return names, nil
}

// Remove removes a file if it exists.
func (d *Dir) Remove(name string) error {
	if !isPlainName(name) {
		return reject(d.path, "invalid file name %q", name)
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return systemError(filepath.Join(d.path, name), err)
	}
	return nil
}

// maxName is the longest file name that most file systems support, in bytes.
const maxName = 255

// isPlainName reports whether name is one path element on every system.
func isPlainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\\:\x00") && filepath.IsLocal(name)
}
