package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// FileStore keeps tokens as files of the runtime folder, which is ours alone.
// It is used only when asked for.
type FileStore struct{ Files Files }

// maxItem is the most that is read of a token's file.
const maxItem = 16 << 10

func fileName(account string) string { return strings.ReplaceAll(account, ":", "-") + ".json" }

// Peek reads an item. It waits for nothing, so ctx is not looked at.
func (s FileStore) Peek(_ context.Context, account string) (credential.Secret, error) {
	data, err := s.Files.ReadFile(fileName(account), maxItem)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credential.Secret{}, fileError{err}
	case err != nil: // its mode, say: the next Put puts a new file in its place
		return credential.Secret{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return credential.NewSecret(string(data)), nil
}

// Put writes an item.
func (s FileStore) Put(_ context.Context, account string, item credential.Secret) error {
	return s.Files.WriteFile(fileName(account), []byte(item.Reveal()))
}

// Delete removes an item.
func (s FileStore) Delete(_ context.Context, account string) error {
	if err := s.Files.Remove(fileName(account)); err != nil {
		return fileError{err}
	}
	return nil
}

type fileError struct{ error }

// Missing says whether there is no such item.
func (e fileError) Missing() bool { return errors.Is(e.error, fs.ErrNotExist) }
func (e fileError) Unwrap() error { return e.error }
