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

// MaxProfile is the largest configuration file in bytes.
const MaxProfile = 1 << 20

// ReadProfile reads a configuration file: regular, at most MaxProfile bytes,
// ours or root's, and writable by nobody else, as it decides where a secret is
// sent. Others may read it.
//
// Errors: *Error, which is also fs.ErrNotExist where there is no file.
func ReadProfile(path string) ([]byte, error) {
	f, m, err := openChecked(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if e := profileRefusal(path, m, os.Geteuid()); e != nil {
		return nil, e
	}
	return readBounded(path, f, MaxProfile)
}

func profileRefusal(path string, m meta, uid int) *Error {
	if m.owner != uid && m.owner != rootUID {
		return foreign(path, m, uid)
	}
	if m.mode&othersWrite == 0 {
		return nil
	}
	fix := "chmod go-w " + sanitize.ShellQuote(path)
	if m.owner != uid {
		fix = "sudo " + fix
	}
	return refuse(path, fmt.Sprintf("others than its owner may write it (mode %04o)", m.mode.Perm()), fix)
}

// maxLinks is how many links one after another are followed, as in Linux
// (path_resolution(7)).
const maxLinks = 40

// WriteFile replaces a file at once: readers see the old text or the new. Its
// mode is 0600, or what is left of 0600 in the old file's mode. If path is a
// symbolic link, the file that it points to is replaced and the link stays.
// Missing folders are made, with mode 0700.
//
// Errors: *Error.
func WriteFile(path string, data []byte) error {
	target, err := linkTarget(path)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	switch fi, err := os.Lstat(target); {
	case err == nil && !fi.Mode().IsRegular():
		return refuse(target, "it is "+kind(fi.Mode())+", not a regular file", "")
	case err == nil:
		mode &= fi.Mode()
	case !errors.Is(err, fs.ErrNotExist):
		return systemError(target, err)
	}
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return systemError(dir, err)
	}
	if err := replace(dir, target, data, mode); err != nil {
		return systemError(target, err)
	}
	return nil
}

// linkTarget follows links at the end of path by hand, as the last one may point
// to a file that is yet to be made.
func linkTarget(path string) (string, error) {
	target := path
	for range maxLinks {
		fi, err := os.Lstat(target)
		if err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			return target, nil
		}
		link, err := os.Readlink(target)
		if err != nil {
			return "", systemError(target, err)
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		target = link
	}
	return "", refuse(path, "too many symbolic links", "")
}

// replace writes a temporary file beside target and renames it.
func replace(dir, target string, data []byte, mode fs.FileMode) error {
	prefix := "." + filepath.Base(target) + ".lakebase-"
	f, err := os.CreateTemp(dir, prefix+"*") // 0600, and new
	if err != nil {
		return err
	}
	temp := f.Name()
	_, err = f.Write(data)
	err = errors.Join(err, ownerOnly(f), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, target)
	}
	if err != nil {
		_ = os.Remove(temp)
		return err
	}
	syncDir(dir)
	sweepTemp(dir, prefix)
	return nil
}

// sweepTemp removes what writers of the same file have left that were killed.
func sweepTemp(dir, prefix string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if fi, err := e.Info(); err == nil && abandoned(fi) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
