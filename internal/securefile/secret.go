package securefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// MaxSecret is the largest secret file in bytes.
const MaxSecret = 4 << 10

// SecretRules widen what a secret file may be.
type SecretRules struct {
	// CredentialsDir is $CREDENTIALS_DIRECTORY, where systemd puts a service's
	// credentials (systemd.exec, "Credentials"); "" if there is none.
	CredentialsDir string
}

// secretMounts is where Docker and Podman mount secrets.
const secretMounts = "/run/secrets"

// ReadSecret reads a secret from a regular file of at most MaxSecret bytes. The
// file has to be ours and closed to others, or root's and writable by root
// alone, or on a read-only tmpfs, or under the credentials folder or
// /run/secrets. White space at both ends is cut off; what is left must be one
// line without control characters, and not empty.
//
// Errors: *Error, which is also fs.ErrNotExist where there is no file. The text
// of the file stands in none.
func ReadSecret(path string, rules SecretRules) (credential.Secret, error) {
	f, m, err := openChecked(path, os.O_RDONLY)
	if err != nil {
		return credential.Secret{}, err
	}
	defer f.Close()
	if e := secretRefusal(path, m, os.Geteuid()); e != nil && !isMounted(f, path, rules) {
		return credential.Secret{}, e
	}
	data, err := readBounded(path, f, MaxSecret)
	if err != nil {
		return credential.Secret{}, err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return credential.Secret{}, refuse(path, "it is empty", "")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return credential.Secret{}, refuse(path, "it holds more than one line, or a control character", "")
	}
	return credential.NewSecret(text), nil
}

// secretRefusal judges owner and mode.
func secretRefusal(path string, m meta, uid int) *Error {
	switch {
	case m.roTmpfs:
		return nil
	case m.owner == rootUID && m.mode&othersWrite == 0:
		return nil
	case m.owner == rootUID && uid != rootUID:
		return refuse(path, fmt.Sprintf("others than root may write it (mode %04o)", m.mode.Perm()), "sudo chmod go-w "+sanitize.ShellQuote(path))
	}
	return closed(path, m, uid, "600")
}

// isMounted says whether the opened file is one that a service manager or a
// container put there. The path is resolved, so that neither ".." nor a link out
// of the folder counts, and must still lead to the file that is open.
func isMounted(f *os.File, path string, rules SecretRules) bool {
	for _, dir := range []string{rules.CredentialsDir, secretMounts} {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
			continue
		}
		if isUnder(f, path, dir) {
			return true
		}
	}
	return false
}

func isUnder(f *os.File, path, dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	if path, err = filepath.Abs(path); err != nil {
		return false
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return false
	}
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named) && strings.HasPrefix(path, dir+string(filepath.Separator))
}
