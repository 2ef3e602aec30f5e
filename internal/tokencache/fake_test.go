package tokencache

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lockedError is like the error of a locked keychain.
type lockedError struct{}

func (lockedError) Error() string { return "the store is locked" }
func (lockedError) Locked() bool  { return true }

// memory is a Store. If set, its errors are returned by Get and Set.
type memory struct {
	mu             sync.Mutex
	items          map[string]string
	reads, writes  int
	getErr, setErr error
	onGet          func(read int) // called before the nth read
}

func (s *memory) Get(_ context.Context, id string) (credential.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.onGet != nil {
		s.onGet(s.reads)
	}
	if s.getErr != nil {
		return credential.Secret{}, s.getErr
	}
	text, ok := s.items[id]
	if !ok {
		return credential.Secret{}, fs.ErrNotExist
	}
	return credential.NewSecret(text), nil
}

func (s *memory) Set(_ context.Context, id string, item credential.Secret, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.setErr != nil {
		return s.setErr
	}
	if s.items == nil {
		s.items = map[string]string{}
	}
	s.items[id] = item.Reveal()
	return nil
}

func (s *memory) Delete(context.Context, ...string) error { return nil }
func (s *memory) List(context.Context) ([]string, error)  { return nil, nil }

// events is an Observer that records failures and signals waits.
type events struct {
	mu     sync.Mutex
	failed []string
	waits  chan struct{}
}

func newEvents() *events { return &events{waits: make(chan struct{}, 1000)} }

func (e *events) CacheFailed(what string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = append(e.failed, fmt.Sprintf("%s: %v", what, err))
}

func (e *events) CacheWaits() { e.waits <- struct{}{} }

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprint(e.failed)
}

const tokenText = "eyJ-canary-token-0123456789"

var (
	key      = credential.Key{Identity: "oauth-m2m", Host: "h.example", Principal: "c", Target: "projects/p/branches/b/endpoints/e", Credential: "database"}
	criteria = Criteria{MinLife: 15 * time.Minute}
)

// entry returns an entry minted now, which expires in an hour.
func entry(text string) Entry {
	now := time.Now().UTC()
	return Entry{Token: credential.Token{Value: credential.NewSecret(text), MintedAt: now, ExpiresAt: now.Add(time.Hour)},
		DatabaseHost: "db.example", Fingerprint: "fp"}
}

// holding returns a store with an item for key.
func holding(item string) *memory { return &memory{items: map[string]string{key.ID(): item}} }

// stored returns the stored form of an entry with another value of a field.
func stored(field, value string) string {
	it, err := parse(encode(key, entry(tokenText)))
	if err != nil {
		panic(err)
	}
	it[field] = value
	text, _ := json.Marshal(it)
	return string(text)
}

func newCache(s Store, lockDir string, e *events) *Cache {
	return &Cache{Store: s, LockDir: lockDir, Observer: e}
}

func minting(text string) func(context.Context) (Entry, error) {
	return func(context.Context) (Entry, error) { return entry(text), nil }
}
