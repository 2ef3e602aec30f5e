package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Dir is a directory that belongs to the user and is closed to others.
type Dir interface {
	Names(max int) ([]string, error)
	ReadFile(name string, max int64) ([]byte, error)
	WriteFile(name string, data []byte) error // mode 0600, atomic
	Remove(name string) error                 // of a file that does not exist: no error
}

// FileStore keeps tokens as files of a directory. It is used only on request.
type FileStore struct{ Dir Dir }

const (
	filePrefix = "token-"
	fileSuffix = ".json"
	maxItem    = 16 << 10 // bytes of one item
	maxFiles   = 10_000   // that are listed
)

// Get reads an item.
func (s FileStore) Get(_ context.Context, id string) (credential.Secret, error) {
	data, err := s.Dir.ReadFile(filePrefix+id+fileSuffix, maxItem)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credential.Secret{}, errMissing
	case err != nil: // its mode, for example: Set replaces the file
		return credential.Secret{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return credential.NewSecret(string(data)), nil
}

// Set writes an item.
func (s FileStore) Set(_ context.Context, id string, item credential.Secret, _ time.Time) error {
	return s.Dir.WriteFile(filePrefix+id+fileSuffix, []byte(item.Reveal()))
}

// Delete removes items.
func (s FileStore) Delete(_ context.Context, ids ...string) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.Dir.Remove(filePrefix+id+fileSuffix))
	}
	return errors.Join(errs...)
}

// List lists the items.
func (s FileStore) List(context.Context) (ids []string, err error) {
	names, err := s.Dir.Names(maxFiles)
	for _, n := range names {
		if id, ok := strings.CutPrefix(n, filePrefix); ok && strings.HasSuffix(id, fileSuffix) {
			ids = append(ids, strings.TrimSuffix(id, fileSuffix))
		}
	}
	return ids, err
}

type missingError struct{}

func (missingError) Error() string { return "no such item" }
func (missingError) Missing() bool { return true }

var errMissing error = missingError{}
