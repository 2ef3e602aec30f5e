package securefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// maxSecret is the size limit of a secret file in bytes.
const maxSecret = 4 << 10

// SecretRules widen which secret files are accepted.
type SecretRules struct {
	// CredentialsDir is $CREDENTIALS_DIRECTORY, where systemd puts a service's
	// credentials (systemd.exec, "Credentials"); empty if there is none.
	CredentialsDir string
	// Password accepts any line of text, and not only what a secret of a workspace is.
	Password bool
}

// secretMounts is where Docker and Podman mount secrets.
const secretMounts = "/run/secrets"

// ReadSecret reads a secret from a regular file of at most maxSecret bytes. The file must
// be ours and closed to others, or root's and writable by root alone, or on a read-only
// tmpfs, or below CredentialsDir or /run/secrets.
func ReadSecret(path string, rules SecretRules) (credential.Secret, error) {
	data, err := read(path, maxSecret, func(f *os.File, m meta) error {
		err := m.checkSecret(path, os.Geteuid())
		if err == nil || isReadOnlyTmpfs(f) || isUnder(f, path, rules.CredentialsDir) || isUnder(f, path, secretMounts) {
			return nil
		}
		return err
	})
	if err != nil {
		return credential.Secret{}, err
	}
	text, quoted := credential.Trim(string(data)), sanitize.ShellQuote(path)
	bad, isBad := errors.AsType[*credential.CharacterError](credential.CheckCharacters(text))
	switch {
	case text == "":
		err = reject(path, "write the secret to "+quoted+" as one line, or name another file", "is empty")
	case !rules.Password && isBad:
		err = reject(path, bad.Hint(), "%v", bad)
	case strings.ContainsFunc(text, unicode.IsControl):
		err = reject(path, "write only the secret to "+quoted+", as one line", "contains more than one line or a control character")
	}
	return credential.NewSecret(text), err
}

// checkSecret checks that a file is root's, as those of a platform are, or private to uid.
func (m meta) checkSecret(path string, uid int) error {
	if m.owner == rootUID && (uid != rootUID || m.mode&othersWrite == 0) {
		return m.checkTrusted(path, uid)
	}
	return m.checkPrivate(path, uid, "600")
}

// isUnder reports whether the opened file is inside dir. The path is resolved, so
// that neither ".." nor a link out of dir counts, and must still lead to the file
// that is open. A relative dir, and the root, contain nothing.
func isUnder(f *os.File, path, dir string) bool {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
		return false
	}
	dir, dirErr := filepath.EvalSymlinks(dir)
	path, absErr := filepath.Abs(path)
	path, linkErr := filepath.EvalSymlinks(path)
	opened, openErr := f.Stat()
	named, err := os.Lstat(path)
	return errors.Join(dirErr, absErr, linkErr, openErr, err) == nil &&
		os.SameFile(opened, named) && strings.HasPrefix(path, dir+string(filepath.Separator))
}
