package securefile

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxLinks is how many symbolic links in a row Linux follows (path_resolution(7)).
const maxLinks = 40

// WriteFile atomically replaces a file: readers see the old content or the new. Its
// mode is 0600, or the part of 0600 that the old file had. If path is a symbolic
// link, its target is replaced. Missing directories are made with mode 0700. The
// file survives a crash of the machine, if the file system can do that.
//
// Errors: *Error.
func WriteFile(path string, data []byte) error {
	target := path
	for range maxLinks { // resolved by hand: the target may not exist yet
		fi, err := os.Lstat(target)
		if err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			break
		}
		link, err := os.Readlink(target)
		if err != nil {
			return systemError(target, err)
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(target), link)
		}
		target = link
	}
	if fi, err := os.Lstat(target); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return reject(path, "too many symbolic links")
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return systemError(filepath.Dir(target), err)
	}
	return replacePath(target, data, true)
}

// ReplaceFile is WriteFile for a file that is rewritten often: it makes no
// directories, follows no symbolic link, and does not sync.
//
// Errors: *Error.
func ReplaceFile(path string, data []byte) error { return replacePath(path, data, false) }

func replacePath(path string, data []byte, durable bool) error {
	mode := fs.FileMode(0o600)
	switch fi, err := os.Lstat(path); {
	case err == nil && !fi.Mode().IsRegular():
		return notRegular(path, fi.Mode())
	case err == nil && durable:
		mode &= fi.Mode()
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return systemError(path, err)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return systemError(path, err)
	}
	defer root.Close()
	name := filepath.Base(path)
	if err := replace(root, name, data, mode, durable); err != nil {
		return systemError(path, err)
	}
	removeTemporary(root, "."+name+".")
	return nil
}

// replace writes a temporary file and renames it to name. There is no better
// function in a library: renameio works on paths, which can be swapped for a link,
// and on Unix only.
func replace(root *os.Root, name string, data []byte, mode fs.FileMode, durable bool) error {
	temp := "." + name + "." + rand.Text()
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, restrictToOwner(f))
	if mode != 0o600 {
		err = errors.Join(err, f.Chmod(mode))
	}
	if durable {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp)
		return err
	}
	if durable {
		syncDir(root)
	}
	return nil
}

const (
	abandonedAfter = time.Minute // the age of a temporary file whose writer was killed
	maxScanned     = 10_000      // names of a directory
)

// removeTemporary removes what writers that were killed left in a directory: files
// called ".NAME.RANDOM" that begin with prefix.
func removeTemporary(root *os.Root, prefix string) {
	names, more, err := readNames(root, maxScanned)
	if err != nil || more {
		return
	}
	for _, name := range names {
		random := strings.TrimPrefix(filepath.Ext(name), ".")
		if !strings.HasPrefix(name, prefix) || len(random) != len(rand.Text()) || strings.Trim(random, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			continue
		}
		if fi, err := root.Lstat(name); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > abandonedAfter {
			_ = root.Remove(name)
		}
	}
}

// readNames returns the sorted names in a directory, and whether there are more
// than max.
func readNames(root *os.Root, max int) (names []string, more bool, err error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names, err = f.Readdirnames(max + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	slices.Sort(names)
	return names, len(names) > max, nil
}
