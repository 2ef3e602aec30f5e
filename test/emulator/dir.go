package emulator

import (
	"os"
	"path/filepath"
)

// dirPrefix begins the name of every directory that the package makes.
const dirPrefix = "local-lakebase-"

// privateDir makes a directory that only this user can write to. If that is root, other
// users can traverse it, because Postgres runs as one of them below it. Its path is
// short enough for a Unix socket (107 bytes on Linux, 103 on macOS).
func privateDir() (string, error) {
	base := fastDir()
	if base == "" {
		base = os.TempDir()
	}
	who, err := serverOwner()
	if len(base) > 60 || err == nil && who.other && !traversable(base) {
		base = "/tmp"
	}
	sweep(filepath.Join(base, dirPrefix+"*"))
	dir, err := os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", err
	}
	if who.other {
		err = os.Chmod(dir, 0o711)
	}
	if err == nil {
		err = claim(dir)
	}
	return dir, err
}

// traversable reports whether every user can reach what is in dir.
func traversable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&1 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
