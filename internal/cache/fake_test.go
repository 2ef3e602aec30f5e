package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errLocked = errors.New("the store is locked")
	errTooBig = errors.New("the item is too big")
)

type missing struct{}

func (missing) Error() string { return "no such item" }
func (missing) Missing() bool { return true }

// memory is a Store.
type memory struct {
	mu      sync.Mutex
	items   map[string]string
	peek    func(account string) error // to fail with, where not nil
	put     func(account string) error
	slow    time.Duration // of each write
	deletes []string
}

func (s *memory) Peek(_ context.Context, account string) (credential.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peek != nil {
		if err := s.peek(account); err != nil {
			return credential.Secret{}, err
		}
	}
	text, ok := s.items[account]
	if !ok {
		return credential.Secret{}, missing{}
	}
	return credential.NewSecret(text), nil
}

func (s *memory) Put(_ context.Context, account string, item credential.Secret) error {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.put != nil {
		if err := s.put(account); err != nil {
			return err
		}
	}
	if s.items == nil {
		s.items = map[string]string{}
	}
	s.items[account] = item.Reveal()
	return nil
}

func (s *memory) Delete(_ context.Context, account string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deletes = append(s.deletes, account)
	if _, ok := s.items[account]; !ok {
		return missing{}
	}
	delete(s.items, account)
	return nil
}

func (s *memory) text(account string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items[account]
}

// storeFunc calls during with each read.
type storeFunc struct {
	*memory
	during func()
}

func (s storeFunc) Peek(ctx context.Context, account string) (credential.Secret, error) {
	s.during()
	return s.memory.Peek(ctx, account)
}

// folder is Files over a plain directory.
type folder string

func (f folder) ReadFile(name string, max int64) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(f), name))
	if err == nil && int64(len(data)) > max {
		return nil, errors.New("too large")
	}
	return data, err
}

func (f folder) WriteFile(name string, data []byte) error {
	if strings.ContainsAny(name, "/:") {
		return fs.ErrInvalid
	}
	tmp, err := os.CreateTemp(string(f), "tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	return errors.Join(err, tmp.Close(), os.Rename(tmp.Name(), filepath.Join(string(f), name)))
}

func (f folder) Remove(name string) error { return os.Remove(filepath.Join(string(f), name)) }

const tokenText = "eyJ-dose-token-0123456789"

var key = credential.Key{Identity: "oauth-m2m", Host: "h.example", Principal: "c", Target: "projects/p/branches/b/endpoints/e", Credential: "database"}

// entry is minted now, and good for an hour.
func entry(text string) Entry {
	now := time.Now().UTC()
	return Entry{Token: credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)},
		DatabaseHost: "db.example", Fingerprint: "fp"}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// told collects what a Cache says of failures.
type told struct {
	mu   sync.Mutex
	what []string
}

func (l *told) tell(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what = append(l.what, what+": "+err.Error())
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.what, "\n")
}
