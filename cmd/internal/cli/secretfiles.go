package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Secrets finds a stored secret: in a file of its own where there is one, else
// in the keychain, which is not touched otherwise.
type Secrets struct {
	Files    SecretFiles
	Keychain broker.Secrets
}

// Get reads the secret of account. The files' errors are *securefile.Error.
func (s Secrets) Get(ctx context.Context, account string) (credential.Secret, error) {
	secret, err := s.Files.Get(account)
	if errors.Is(err, fs.ErrNotExist) {
		return s.Keychain.Get(ctx, account)
	}
	return secret, err
}

// SecretFiles keeps secrets on a machine that has no keychain: one file of mode
// 0600 for each host and client id, or host and person, in a folder that is ours
// and closed to others. Nothing is stored there unless somebody asks for it.
type SecretFiles struct{ Dir string }

// SecretFiles are those of the user's configuration folder.
func (p *Environment) SecretFiles() SecretFiles {
	return SecretFiles{Dir: filepath.Join(p.configDir(), "lakebase", "secrets")}
}

const (
	secretItemVersion = 1
	maxSecretItem     = 32 << 10 // a secret of 4 KiB, escaped
	maxSecretFiles    = 10_000
)

// Path is the file of account. Its name says nothing of the account, and is a
// plain one whatever that holds.
func (f SecretFiles) Path(account string) string {
	return filepath.Join(f.Dir, secretFileName(account))
}

func secretFileName(account string) string {
	sum := sha256.Sum256([]byte(account))
	return hex.EncodeToString(sum[:]) + ".json"
}

// Ready makes the folder, or says why it cannot be used.
func (f SecretFiles) Ready() error {
	d, err := securefile.OpenDir([]string{f.Dir})
	if err != nil {
		return err
	}
	return d.Close()
}

// Get reads the secret of account; fs.ErrNotExist says that there is none.
func (f SecretFiles) Get(account string) (credential.Secret, error) {
	d, err := f.open(f.Path(account))
	if err != nil {
		return credential.Secret{}, err
	}
	defer d.Close()
	return f.read(d, account)
}

// open opens the folder where path, in it, exists. A home that is no folder has
// none either.
func (f SecretFiles) open(path string) (*securefile.Dir, error) {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, &securefile.Error{Path: path, Reason: reasonOf(err), Err: err}
	}
	return securefile.OpenDir([]string{f.Dir})
}

func reasonOf(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (f SecretFiles) read(d *securefile.Dir, account string) (credential.Secret, error) {
	it, err := f.item(d, secretFileName(account))
	if err != nil {
		return credential.Secret{}, err
	}
	if it.account() != account {
		return credential.Secret{}, f.refuse(secretFileName(account), it.anothers())
	}
	return credential.NewSecret(it.secret()), nil
}

// item reads a file. What is wrong with it is told in our own words: those of
// a parser could quote the secret.
func (f SecretFiles) item(d *securefile.Dir, name string) (secretItem, error) {
	data, err := d.ReadFile(name, maxSecretItem)
	if err != nil {
		return secretItem{}, err
	}
	it, ok := parseSecretItem(data)
	if !ok {
		return secretItem{}, f.refuse(name, "it is not a secret that login has stored")
	}
	return it, nil
}

func (f SecretFiles) refuse(name, reason string) error {
	return &securefile.Error{Path: filepath.Join(f.Dir, name), Reason: reason}
}

// Set stores the secret of account and reads it back.
func (f SecretFiles) Set(account string, secret credential.Secret) error {
	it, ok := newSecretItem(account, secret)
	if !ok {
		return f.refuse(secretFileName(account), "the account is no secret's")
	}
	data, err := json.Marshal(it)
	if err != nil { // strings only: cannot be
		return f.refuse(secretFileName(account), "it cannot be made")
	}
	d, err := securefile.OpenDir([]string{f.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.WriteFileSync(secretFileName(account), append(data, '\n')); err != nil {
		return err
	}
	switch again, err := f.read(d, account); {
	case err != nil:
		return err
	case !again.Equal(secret):
		return f.refuse(secretFileName(account), "it reads back differently")
	}
	return nil
}

// List gives the accounts whose secrets stand in files, and an error for each
// file that cannot be used.
func (f SecretFiles) List() (accounts []string, unusable []error, err error) {
	d, names, err := f.names()
	if d == nil || err != nil {
		return nil, nil, err
	}
	defer d.Close()
	for _, n := range names {
		if !secretName(n) {
			continue
		}
		it, err := f.item(d, n)
		account := it.account()
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
		case err != nil:
			unusable = append(unusable, err)
		case secretFileName(account) != n:
			unusable = append(unusable, f.refuse(n, it.anothers()))
		default:
			accounts = append(accounts, account)
		}
	}
	return accounts, unusable, nil
}

// names lists the folder; no folder gives none.
func (f SecretFiles) names() (*securefile.Dir, []string, error) {
	d, err := f.open(f.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	names, err := d.Names(maxSecretFiles)
	if err != nil {
		_ = d.Close()
		return nil, nil, err
	}
	return d, names, nil
}

// secretName says whether name is that of a secret's file.
func secretName(name string) bool {
	hexed, ok := strings.CutSuffix(name, ".json")
	sum, err := hex.DecodeString(hexed)
	return ok && err == nil && len(sum) == sha256.Size
}

// Remove removes the file of account, with what a killed writer of it left, and
// says whether there was one.
func (f SecretFiles) Remove(account string) (bool, error) {
	return f.remove(func(name string) bool { return name == secretFileName(account) })
}

// RemoveAll removes every secret's file, readable or not, and the folder.
func (f SecretFiles) RemoveAll() (bool, error) {
	removed, err := f.remove(secretName)
	if err == nil && removed {
		_ = os.Remove(f.Dir) // where something else stands in it, it stays
	}
	return removed, err
}

func (f SecretFiles) remove(which func(name string) bool) (removed bool, err error) {
	d, names, err := f.names()
	if d == nil || err != nil {
		return false, err
	}
	defer d.Close()
	for _, n := range names {
		// A file in the making is called ".NAME.RANDOM".
		whole := n
		if temp, ok := strings.CutPrefix(n, "."); ok {
			whole = strings.TrimSuffix(temp, filepath.Ext(temp))
		}
		if !which(strings.TrimSuffix(whole, recordSuffix)) {
			continue
		}
		if err := d.Remove(n); err != nil {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}
