package rotate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

const clientID = "client-1"

// killed is the panic that ends a run at a step.
type killed struct{}

// fakeWorld is a workspace with one service principal, a secret store and a state
// store. Each call counts as a step before, and writes also after, it takes effect.
type fakeWorld struct {
	secrets []exchange.ClientSecret
	values  map[string]string // ID to secret
	created int
	stored  string
	state   State
	now     time.Time

	steps    []string
	killAt   int              // the step at which the run is killed, from 1; 0: none
	fail     map[string]error // by step
	refuse   int              // sign-ins with a new secret to refuse
	setTo    string           // what Set stores instead, if not empty
	warnings []string
}

// newFakeWorld returns a world with the stored secret as the last of some secrets.
func newFakeWorld(others int) *fakeWorld {
	w := &fakeWorld{values: map[string]string{}, fail: map[string]error{}, now: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)}
	for range others {
		w.add()
	}
	w.stored = w.values[w.add().ID]
	return w
}

func (w *fakeWorld) add() exchange.ClientSecret {
	w.created++
	s := exchange.ClientSecret{ID: fmt.Sprintf("id-%d", w.created), Status: "ACTIVE", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	w.secrets, w.values[s.ID] = append(w.secrets, s), fmt.Sprintf("secret-%d", w.created)
	return s
}

func (w *fakeWorld) step(name string) error {
	w.steps = append(w.steps, name)
	if w.killAt == len(w.steps) {
		panic(killed{})
	}
	return w.fail[name]
}

// works reports whether a secret exists.
func (w *fakeWorld) works(secret string) bool {
	return slices.ContainsFunc(w.secrets, func(s exchange.ClientSecret) bool { return w.values[s.ID] == secret })
}

func isState(account string) bool { return account == config.RecordAccount("w.example", clientID) }

func (w *fakeWorld) Get(_ context.Context, account string) (credential.Secret, error) {
	if isState(account) {
		text, _ := json.Marshal(w.state)
		return credential.NewSecret(string(text)), w.step("load")
	}
	if err := w.step("get"); err != nil || w.stored == "" {
		return credential.Secret{}, cmp.Or(err, fs.ErrNotExist)
	}
	return credential.NewSecret(w.stored), nil
}

func (w *fakeWorld) Set(_ context.Context, account string, item credential.Secret) error {
	if isState(account) {
		if err := w.step("save"); err != nil {
			return err
		}
		w.state = State{}
		return errors.Join(json.Unmarshal([]byte(item.Reveal()), &w.state), w.step("save done"))
	}
	if err := w.step("set"); err != nil {
		return err
	}
	w.stored = item.Reveal()
	if w.setTo != "" {
		w.stored = w.setTo
		return errors.New("read back another secret")
	}
	return w.step("set done")
}

func (w *fakeWorld) WorkspaceToken(_ context.Context, id string, secret credential.Secret) (credential.Token, error) {
	if err := w.step("sign in"); err != nil {
		return credential.Token{}, err
	}
	text := secret.Reveal()
	if text != w.stored && w.refuse > 0 {
		w.refuse--
		text = ""
	}
	if id != clientID || !w.works(text) {
		return credential.Token{}, &exchange.Error{Call: exchange.CallWorkspaceToken, Kind: exchange.KindInvalidClient, Status: 401}
	}
	return credential.Token{Value: credential.NewSecret("bearer-" + text)}, nil
}

func (w *fakeWorld) Me(context.Context, credential.Secret) (exchange.Identity, error) {
	return exchange.Identity{ID: "41"}, w.step("me")
}

func (w *fakeWorld) ClientSecrets(context.Context, credential.Secret, string) ([]exchange.ClientSecret, error) {
	return slices.Clone(w.secrets), w.step("list")
}

func (w *fakeWorld) CreateClientSecret(context.Context, credential.Secret, string, time.Duration) (exchange.ClientSecret, credential.Secret, error) {
	if err := w.step("create"); err != nil {
		return exchange.ClientSecret{}, credential.Secret{}, err
	}
	s := w.add()
	return s, credential.NewSecret(w.values[s.ID]), w.step("create done")
}

func (w *fakeWorld) DeleteClientSecret(_ context.Context, _ credential.Secret, _, id string) error {
	if err := w.step("delete"); err != nil {
		return err
	}
	w.secrets = slices.DeleteFunc(w.secrets, func(s exchange.ClientSecret) bool { return s.ID == id })
	return w.step("delete done")
}

func (w *fakeWorld) Stage(auth.Stage, string) {}
func (w *fakeWorld) Note(string)              {}
func (w *fakeWorld) Warn(text string)         { w.warnings = append(w.warnings, text) }

// rotate runs one rotation, which change may alter. dead reports whether it was
// killed.
func (w *fakeWorld) rotate(t *testing.T, change func(*Rotation)) (result Result, dead bool, err error) {
	t.Helper()
	w.steps, w.warnings = nil, nil
	r := Rotation{Store: w, API: w, Observer: w, Now: func() time.Time { return w.now }, Host: "w.example", ClientID: clientID, Timeout: 2 * time.Second}
	if change != nil {
		change(&r)
	}
	defer func() {
		p := recover()
		if dead = p == any(killed{}); p != nil && !dead {
			panic(p)
		}
	}()
	result, err = r.Run(t.Context())
	return result, false, err
}

// mustRotate is rotate without a failure.
func (w *fakeWorld) mustRotate(t *testing.T, change func(*Rotation)) Result {
	t.Helper()
	result, dead, err := w.rotate(t, change)
	if err != nil || dead {
		t.Fatalf("rotate: got error %v, killed %v", err, dead)
	}
	return result
}
