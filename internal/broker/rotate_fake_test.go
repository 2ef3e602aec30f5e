package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// killed is how a run ends that is killed at a step.
type killed struct{ step string }

// mint is a workspace with one service principal, a store and a ledger. Each
// step of a Rotation counts twice, before and after it takes effect, and the run
// is killed at the step killAt, or not at all with 0.
type mint struct {
	secrets []exchange.ClientSecret
	values  map[string]string // id to secret
	stored  string
	record  Record
	killAt  int
	steps   []string
	made    int
	fail    map[string]error // by step, before it takes effect
	warned  []string
	now     time.Time
	setTo   string // what Set stores instead, where not empty
}

func newMint(t *testing.T, others int) *mint {
	t.Helper()
	m := &mint{values: map[string]string{}, fail: map[string]error{}, now: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)}
	for range others {
		m.add()
	}
	m.stored = m.values[m.add().ID]
	return m
}

func (m *mint) add() exchange.ClientSecret {
	m.made++
	s := exchange.ClientSecret{ID: fmt.Sprintf("id-%d", m.made), Status: "ACTIVE", CreatedAt: m.now, ExpiresAt: m.now.Add(time.Hour)}
	m.secrets, m.values[s.ID] = append(m.secrets, s), fmt.Sprintf("secret-%d", m.made)
	return s
}

// step counts one moment of a step.
func (m *mint) step(name string) error {
	m.steps = append(m.steps, name)
	if m.killAt == len(m.steps) {
		panic(killed{name})
	}
	return m.fail[name]
}

func (m *mint) works(secret string) bool {
	return slices.ContainsFunc(m.secrets, func(s exchange.ClientSecret) bool { return m.values[s.ID] == secret })
}

func (m *mint) Get(context.Context) (credential.Secret, error) {
	return credential.NewSecret(m.stored), m.step("get")
}

func (m *mint) Set(_ context.Context, secret credential.Secret) error {
	if err := m.step("set"); err != nil {
		return err
	}
	m.stored = secret.Reveal()
	if m.setTo != "" {
		m.stored = m.setTo
		return errors.New("it reads back differently")
	}
	return m.step("set done")
}

func (m *mint) Load(context.Context) (Record, error) { return m.record, m.step("load") }

func (m *mint) Save(_ context.Context, r Record) error {
	if err := m.step("save"); err != nil {
		return err
	}
	m.record = r
	return m.step("save done")
}

func (m *mint) WorkspaceToken(_ context.Context, id string, secret credential.Secret) (credential.Token, error) {
	if err := m.step("sign in"); err != nil {
		return credential.Token{}, err
	}
	if id != client || !m.works(secret.Reveal()) {
		return credential.Token{}, &exchange.Error{Call: exchange.CallWorkspaceToken, Kind: exchange.KindInvalidClient}
	}
	return aToken("bearer-" + secret.Reveal()), nil
}

func (m *mint) Principal(context.Context, credential.Secret) (string, error) {
	return "41", m.step("me")
}

func (m *mint) ClientSecrets(context.Context, credential.Secret, string) ([]exchange.ClientSecret, error) {
	return slices.Clone(m.secrets), m.step("list")
}

func (m *mint) CreateClientSecret(context.Context, credential.Secret, string, time.Duration) (exchange.ClientSecret, credential.Secret, error) {
	if err := m.step("create"); err != nil {
		return exchange.ClientSecret{}, credential.Secret{}, err
	}
	s := m.add()
	return s, credential.NewSecret(m.values[s.ID]), m.step("create done")
}

func (m *mint) DeleteClientSecret(_ context.Context, _ credential.Secret, _, id string) error {
	if err := m.step("delete"); err != nil {
		return err
	}
	n := len(m.secrets)
	m.secrets = slices.DeleteFunc(m.secrets, func(s exchange.ClientSecret) bool { return s.ID == id })
	if len(m.secrets) == n {
		return &exchange.Error{Call: exchange.CallDeleteSecret, Kind: exchange.KindSecretNotFound, Status: 404}
	}
	return m.step("delete done")
}

// rotate runs once; change sets its options. It says whether it was killed.
func (m *mint) rotate(t *testing.T, change func(*Rotation)) (did Rotated, dead bool, err error) {
	t.Helper()
	m.steps, m.warned = nil, nil
	r := &Rotation{Config: resolve(t, "timeout", "2s"), Secrets: m, Ledger: m, Identity: m, API: m, Now: func() time.Time { return m.now },
		Warn: func(text string) { m.warned = append(m.warned, text) }}
	if change != nil {
		change(r)
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
			dead = true
		}
	}()
	did, err = r.Run(t.Context())
	return did, false, err
}

// must is rotate where nothing goes wrong.
func (m *mint) must(t *testing.T, change func(*Rotation)) Rotated {
	t.Helper()
	did, dead, err := m.rotate(t, change)
	if err != nil || dead {
		t.Fatalf("rotate: %v, killed: %v", err, dead)
	}
	return did
}

// lateMint refuses a new secret for some times.
type lateMint struct {
	*mint
	refuse, refused int
}

func (l *lateMint) WorkspaceToken(ctx context.Context, id string, secret credential.Secret) (credential.Token, error) {
	if secret.Reveal() != l.values["id-1"] && l.refused < l.refuse {
		l.refused++
		return credential.Token{}, &exchange.Error{Call: exchange.CallWorkspaceToken, Kind: exchange.KindInvalidClient, Status: 401}
	}
	return l.mint.WorkspaceToken(ctx, id, secret)
}
