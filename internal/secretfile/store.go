// Package secretfile keeps secrets on a machine that has no keychain: one file of
// mode 0600 for each service principal and user login, in a private directory.
package secretfile

import (
	"cmp"
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
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

const (
	itemVersion = 1
	maxItem     = 64 << 10 // bytes: a secret of 4 KiB, escaped, or a record

	// recordSuffix ends the name of the file that records the rotation of a secret. It
	// contains no secret, and is removed with the secret's file.
	recordSuffix = ".rotation"
)

// item is the content of a file: the secret of a service principal, the refresh token of
// a user, or the password of a role. It names its owner, so that a renamed file is not used.
type item struct {
	Version int `json:"version"`
	config.Account
	ClientSecret string `json:"client_secret,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Password     string `json:"password,omitempty"`
}

// newItem returns the item of account, if that is one of the three kinds.
func newItem(account string, secret credential.Secret) (it item, ok bool) {
	it.Version = itemVersion
	it.Account, ok = config.ParseAccount(account)
	switch {
	case it.User != "":
		it.RefreshToken = secret.Reveal()
	case it.Role != "":
		it.Password = secret.Reveal()
	default:
		it.ClientSecret = secret.Reveal()
	}
	return it, ok
}

// parseItem parses an item of one kind; a mixture is not ok.
func parseItem(data []byte) (it item, ok bool) {
	if json.Unmarshal(data, &it) != nil {
		return item{}, false
	}
	again, ok := newItem(it.Account.String(), credential.NewSecret(it.secret()))
	return it, ok && again == it && it.secret() != "" && !strings.ContainsFunc(it.secret(), unicode.IsControl)
}

func (it item) secret() string { return cmp.Or(it.Password, it.RefreshToken, it.ClientSecret) }

// Store is a directory of such files. Errors are *securefile.Error, or fs.ErrNotExist.
type Store struct{ Dir string }

// Path returns the file of account. Its name does not reveal the account.
func (s Store) Path(account string) string { return filepath.Join(s.Dir, fileName(account)) }

func fileName(account string) string {
	secret, isRecord := config.RecordOf(account)
	sum := sha256.Sum256([]byte(secret))
	name := hex.EncodeToString(sum[:]) + ".json"
	if isRecord {
		name += recordSuffix
	}
	return name
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
	err = securefile.CheckWritable(filepath.Join(s.Dir, "check"), maxItem)
	var e *securefile.Error
	if errors.As(err, &e) {
		e.Path = s.Dir
	}
	return err
}

// Get returns the secret of account, or the record of its rotations.
func (s Store) Get(_ context.Context, account string) (credential.Secret, error) {
	name := fileName(account)
	d, err := s.open(name)
	if err != nil {
		return credential.Secret{}, err
	}
	defer d.Close()
	if strings.HasSuffix(name, recordSuffix) {
		data, err := d.ReadFile(name, maxItem)
		return credential.NewSecret(string(data)), err
	}
	it, err := s.read(d, name)
	return credential.NewSecret(it.secret()), err
}

// open opens the directory if it contains name. It does not create it.
func (s Store) open(name string) (*securefile.Dir, error) {
	_, err := os.Lstat(filepath.Join(s.Dir, name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // a home that is not a directory has none either
		return nil, fs.ErrNotExist
	}
	return securefile.OpenDir([]string{s.Dir})
}

// read reads a file. The error does not quote a parser, which could quote the secret.
func (s Store) read(d *securefile.Dir, name string) (item, error) {
	data, err := d.ReadFile(name, maxItem)
	if err != nil {
		return item{}, err
	}
	it, ok := parseItem(data)
	switch {
	case !ok:
		return item{}, s.reject(name, "not a secret stored by login")
	case fileName(it.Account.String()) != name:
		return item{}, s.reject(name, "it belongs to another host, user or client ID")
	}
	return it, nil
}

func (s Store) reject(name, reason string) error {
	return &securefile.Error{Path: filepath.Join(s.Dir, name), Reason: reason}
}

// Set stores the secret of account, or the record of its rotations. Of several writers at
// once the last one wins.
func (s Store) Set(_ context.Context, account string, secret credential.Secret) error {
	if name := fileName(account); strings.HasSuffix(name, recordSuffix) {
		return s.write(name, []byte(secret.Reveal()))
	}
	it, ok := newItem(account, secret)
	data, err := json.Marshal(it)
	if err != nil {
		return err
	}
	if again, same := parseItem(data); !ok || !same || again != it {
		return s.reject(fileName(account), "it would read back differently")
	}
	return s.write(fileName(account), data)
}

func (s Store) write(name string, data []byte) error {
	d, err := securefile.OpenDir([]string{s.Dir})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.WriteFileSync(name, append(data, '\n'))
}

// List returns the accounts of the stored secrets, and the errors of unusable files.
func (s Store) List() (accounts []string, unusable []error, err error) {
	err = s.each(isFileName, func(d *securefile.Dir, name string) error {
		switch it, err := s.read(d, name); {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			unusable = append(unusable, err)
		default:
			accounts = append(accounts, it.Account.String())
		}
		return nil
	})
	return accounts, unusable, err
}

// Remove removes the files of account, and reports whether there was one.
func (s Store) Remove(account string) (bool, error) {
	return s.remove(func(name string) bool { return name == fileName(account) })
}

// RemoveAll removes every secret's file, and the directory unless it holds other files.
func (s Store) RemoveAll() (bool, error) {
	removed, err := s.remove(isFileName)
	if err == nil && removed {
		_ = os.Remove(s.Dir)
	}
	return removed, err
}

func (s Store) remove(match func(name string) bool) (removed bool, err error) {
	err = s.each(func(name string) bool {
		if temp, ok := strings.CutPrefix(name, "."); ok { // ".NAME.RANDOM" is being written
			name = strings.TrimSuffix(temp, filepath.Ext(temp))
		}
		return match(strings.TrimSuffix(name, recordSuffix))
	}, func(d *securefile.Dir, name string) error {
		removed = true
		return d.Remove(name)
	})
	return removed, err
}

// each calls do for the names in the directory, if it exists, that match, until an error.
func (s Store) each(match func(name string) bool, do func(d *securefile.Dir, name string) error) error {
	d, err := s.open("")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Names()
	for _, name := range names {
		if err == nil && match(name) {
			err = do(d, name)
		}
	}
	return err
}
