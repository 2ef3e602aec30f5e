package securefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Dir is an opened runtime folder. All its files are reached through the opened
// folder, so that nobody can put another in its place.
type Dir struct {
	root *os.Root
	path string
}

// OpenDir opens the first candidate that is, or can be made as, a real directory
// which is ours and closed to others, in a folder where nobody else can replace
// it. Missing parents are made too, with mode 0700, but not under /run, whose
// folders are the system's to make.
//
// Errors: *DirError, with the reason for each candidate.
func OpenDir(candidates []string) (*Dir, error) {
	failed := &DirError{}
	for _, c := range candidates {
		d, err := openDir(c, os.Geteuid())
		if err == nil {
			return d, nil
		}
		failed.Refused = append(failed.Refused, err)
	}
	return nil, failed
}

// DirError says why there is no runtime folder.
type DirError struct{ Refused []*Error }

func (e *DirError) Error() string {
	if len(e.Refused) == 0 {
		return "no folder to try"
	}
	var all []string
	for _, r := range e.Refused {
		all = append(all, r.Error())
	}
	return strings.Join(all, "; ")
}

// Unwrap gives the refusals to errors.Is and errors.As.
func (e *DirError) Unwrap() []error {
	var all []error
	for _, r := range e.Refused {
		all = append(all, r)
	}
	return all
}

// shared folders are everybody's, whatever their mode is at the moment.
var shared = []string{"/", "/tmp", "/var/tmp", "/private/tmp", "/dev/shm", "/run", "/var/run"}

func openDir(candidate string, uid int) (*Dir, *Error) {
	path, err := filepath.Abs(candidate)
	if candidate == "" || err != nil {
		return nil, refuse(candidate, "it is no path", "")
	}
	for _, s := range shared {
		if path == s {
			return nil, refuse(path, "it is shared with everybody", "")
		}
	}
	if e := makeDir(path, uid); e != nil {
		return nil, e
	}
	named, err := os.Lstat(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if !named.IsDir() {
		return nil, refuse(path, "it is "+kind(named.Mode())+", not a directory", "")
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if e := openedRefusal(root, path, named, uid); e != nil {
		_ = root.Close()
		return nil, e
	}
	return &Dir{root: root, path: path}, nil
}

// openedRefusal judges the folder that was opened: it has to be the one that was
// seen to be no link.
func openedRefusal(root *os.Root, path string, named fs.FileInfo, uid int) *Error {
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
		return refuse(path, "it was replaced while we looked", "")
	}
	m, err := metaOf(f)
	if err != nil {
		return systemError(path, err)
	}
	return closed(path, m, uid, "700")
}

// makeDir makes the folder unless something stands there, and judges the
// nearest folder above it that there is: who may rename in that one can put
// another folder in our place. Nothing is made in somebody else's folder, as root
// with a user's HOME would do.
func makeDir(path string, uid int) *Error {
	parent := filepath.Dir(path)
	above := parent
	for ; filepath.Dir(above) != above; above = filepath.Dir(above) {
		if _, err := os.Stat(above); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if e := aboveRefusal(path, above, uid); e != nil {
		return e
	}
	if above != parent && (strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/var/run/")) {
		return refuse(path, "there is no "+parent, "")
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return systemError(path, err)
	}
	err := os.Mkdir(path, 0o700)
	if err == nil {
		err = ownerOnlyPath(path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return systemError(path, err)
	}
	return nil
}

// aboveRefusal: folders that are ours or root's are good, if only their owner can
// write there or the sticky bit guards each name.
func aboveRefusal(path, above string, uid int) *Error {
	m, err := metaOfPath(above)
	switch {
	case err != nil:
		return systemError(above, err)
	case m.owner != uid && m.owner != rootUID:
		return refuse(path, fmt.Sprintf("%s above it belongs to uid %d, and we are %d", above, m.owner, uid), "")
	case m.mode&othersWrite != 0 && m.mode&fs.ModeSticky == 0:
		return refuse(path, fmt.Sprintf("others can write in %s above it (mode %04o)", above, m.mode.Perm()), "chmod go-w "+sanitize.ShellQuote(above))
	}
	return nil
}

// Path is the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// Close gives the folder's descriptor back. Files that are open stay open.
func (d *Dir) Close() error { return d.root.Close() }
