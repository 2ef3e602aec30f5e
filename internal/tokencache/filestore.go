package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// FileStore stores tokens as files of a directory. It is used only on request.
type FileStore struct{ Dir *securefile.Dir }

const (
	filePrefix = "token-"
	fileSuffix = ".json"
	maxItem    = 64 << 10 // bytes; no server accepts a token of this length
)

// Get returns an item.
func (s FileStore) Get(_ context.Context, id string) (credential.Secret, error) {
	data, err := s.Dir.ReadFile(filePrefix+id+fileSuffix, maxItem)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // such as of its mode; Set replaces the file
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return credential.NewSecret(string(data)), err
}

// Set stores an item.
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

// List returns the IDs of all items.
func (s FileStore) List(context.Context) (ids []string, err error) {
	names, err := s.Dir.Names()
	for _, n := range names {
		id, isToken := strings.CutPrefix(n, filePrefix)
		if id, isJSON := strings.CutSuffix(id, fileSuffix); isToken && isJSON {
			ids = append(ids, id)
		}
	}
	return ids, err
}
