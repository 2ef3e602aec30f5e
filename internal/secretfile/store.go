// Package secretfile keeps secrets on a machine that has no keychain: one file of
// mode 0600 for each service principal and user login, in a private directory.
package secretfile

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

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Store is a directory of such files. Errors are *securefile.Error, or fs.ErrNotExist.
type Store struct{ Dir string }

const (
	itemVersion = 1
	maxItem     = 32 << 10 // a secret of 4 KiB, escaped
	maxRecord   = 64 << 10
	maxFiles    = 10_000

	// recordSuffix ends the name of the file that records the rotation of a secret. It
	// contains no secret, and is removed with the secret's file.
	recordSuffix = ".rotation"
)

// Path returns the file of account. Its name does not reveal the account.
func (s Store) Path(account string) string { return filepath.Join(s.Dir, fileName(account)) }

func fileName(account string) string {
	sum := sha256.Sum256([]byte(account))
	return hex.EncodeToString(sum[:]) + ".json"
}

// isFileName reports whether name is that of a secret's file.
func isFileName(name string) bool {
	hexed, ok := strings.CutSuffix(name, ".json")
	sum, err := hex.DecodeString(hexed)
	return ok && err == nil && len(sum) == sha256.Size
}

// Ready creates the directory, or returns why no secret can be written to it.
func (s Store) Ready() error {
	d, err := securefile.OpenDir([]string{s.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.CheckWritable(maxItem)
}

// Get returns the secret of account.
func (s Store) Get(account string) (credential.Secret, error) {
	d, err := s.open(s.Path(account))
	if err != nil {
		return credential.Secret{}, err
	}
	defer d.Close()
	return s.read(d, account)
}

// open opens the directory if path, in it, exists.
func (s Store) open(path string) (*securefile.Dir, error) {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, syscall.ENOTDIR): // a home that is not a directory has none either
		return nil, fs.ErrNotExist
	case err != nil:
		reason := err.Error()
		var pe *fs.PathError
		if errors.As(err, &pe) {
			reason = pe.Err.Error()
		}
		return nil, &securefile.Error{Path: path, Reason: reason, Err: err}
	}
	return securefile.OpenDir([]string{s.Dir})
}

func (s Store) read(d *securefile.Dir, account string) (credential.Secret, error) {
	it, err := s.item(d, fileName(account))
	if err != nil {
		return credential.Secret{}, err
	}
	if it.account() != account {
		return credential.Secret{}, s.reject(fileName(account), it.mismatch())
	}
	return credential.NewSecret(it.secret()), nil
}

// item reads a file. The error does not quote a parser, which could quote the secret.
func (s Store) item(d *securefile.Dir, name string) (item, error) {
	data, err := d.ReadFile(name, maxItem)
	if err != nil {
		return item{}, err
	}
	it, ok := parseItem(data)
	if !ok {
		return item{}, s.reject(name, "not a secret stored by login")
	}
	return it, nil
}

func (s Store) reject(name, reason string) error {
	return &securefile.Error{Path: filepath.Join(s.Dir, name), Reason: reason}
}

// Set stores the secret of account and reads it back. Of several writers at once the
// last one wins.
func (s Store) Set(account string, secret credential.Secret) error {
	it, ok := newItem(account, secret)
	if !ok {
		return s.reject(fileName(account), "not the account of a secret or login")
	}
	data, err := json.Marshal(it)
	if err != nil {
		return err
	}
	if again, ok := parseItem(data); !ok || again.account() != account || again.secret() != secret.Reveal() {
		return s.reject(fileName(account), "it would read back differently")
	}
	d, err := securefile.OpenDir([]string{s.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.WriteFileSync(fileName(account), append(data, '\n')); err != nil {
		return err
	}
	_, err = s.read(d, account)
	return err
}

// Record returns the rotation record of account's secret.
func (s Store) Record(account string) (string, error) {
	name := fileName(account) + recordSuffix
	d, err := s.open(filepath.Join(s.Dir, name))
	if err != nil {
		return "", err
	}
	defer d.Close()
	data, err := d.ReadFile(name, maxRecord)
	return string(data), err
}

// SetRecord replaces the rotation record of account's secret.
func (s Store) SetRecord(account, text string) error {
	d, err := securefile.OpenDir([]string{s.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.WriteFileSync(fileName(account)+recordSuffix, []byte(text+"\n"))
}

// List returns the accounts of the stored secrets, and an error for each file that
// cannot be used.
func (s Store) List() (accounts []string, unusable []error, err error) {
	d, names, err := s.names()
	if d == nil || err != nil {
		return nil, nil, err
	}
	defer d.Close()
	for _, n := range names {
		if !isFileName(n) {
			continue
		}
		it, err := s.item(d, n)
		account := it.account()
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			unusable = append(unusable, err)
		case fileName(account) != n:
			unusable = append(unusable, s.reject(n, it.mismatch()))
		default:
			accounts = append(accounts, account)
		}
	}
	return accounts, unusable, nil
}

// names lists the directory; nil if there is none.
func (s Store) names() (*securefile.Dir, []string, error) {
	d, err := s.open(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	names, err := d.Names(maxFiles)
	if err != nil {
		_ = d.Close()
		return nil, nil, err
	}
	return d, names, nil
}

// Remove removes the file of account and what a killed writer of it left, and reports
// whether there was one.
func (s Store) Remove(account string) (bool, error) {
	return s.remove(func(name string) bool { return name == fileName(account) })
}

// RemoveAll removes every secret's file, readable or not, and the directory unless it
// holds other files.
func (s Store) RemoveAll() (bool, error) {
	removed, err := s.remove(isFileName)
	if err == nil && removed {
		_ = os.Remove(s.Dir)
	}
	return removed, err
}

func (s Store) remove(match func(name string) bool) (removed bool, err error) {
	d, names, err := s.names()
	if d == nil || err != nil {
		return false, err
	}
	defer d.Close()
	for _, n := range names {
		whole := n
		if temp, ok := strings.CutPrefix(n, "."); ok { // ".NAME.RANDOM" is being written
			whole = strings.TrimSuffix(temp, filepath.Ext(temp))
		}
		if !match(strings.TrimSuffix(whole, recordSuffix)) {
			continue
		}
		if err := d.Remove(n); err != nil {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}

// Getter returns stored secrets, as a keychain does.
type Getter interface {
	Get(ctx context.Context, account string) (credential.Secret, error)
}

// Chain returns a secret from its file if there is one, else from the keychain, which
// is not used otherwise.
type Chain struct {
	Files    Store
	Keychain Getter
}

// Get returns the secret of account.
func (c Chain) Get(ctx context.Context, account string) (credential.Secret, error) {
	secret, err := c.Files.Get(account)
	if errors.Is(err, fs.ErrNotExist) {
		return c.Keychain.Get(ctx, account)
	}
	return secret, err
}
