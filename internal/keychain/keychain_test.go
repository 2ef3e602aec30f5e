package keychain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// fakeBackend is a keychain in memory. If hook returns an error for a get, set or
// delete, so does the call.
type fakeBackend struct {
	mu      sync.Mutex
	items   map[string]string
	hook    func(op, account string, prompt bool) error
	altered string // stored instead of the given value
	deletes []string
	search  bool // list works
}

func (f *fakeBackend) call(op, account string, prompt bool, do func() error) error {
	if f.hook != nil {
		if err := f.hook(op, account, prompt); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.items == nil {
		f.items = map[string]string{}
	}
	if _, ok := f.items[account]; !ok && op != "set" {
		return fail(ErrNotFound, "")
	}
	return do()
}

func (f *fakeBackend) get(_ context.Context, account string, prompt bool) (secret credential.Secret, err error) {
	err = f.call("get", account, prompt, func() error { secret = credential.NewSecret(f.items[account]); return nil })
	return secret, err
}

func (f *fakeBackend) set(_ context.Context, account string, secret credential.Secret, prompt bool) error {
	return f.call("set", account, prompt, func() error {
		f.items[account] = cmp.Or(f.altered, secret.Reveal())
		return nil
	})
}

func (f *fakeBackend) remove(_ context.Context, account string) error {
	return f.call("delete", account, true, func() error {
		f.deletes = append(f.deletes, account)
		delete(f.items, account)
		return nil
	})
}

func (f *fakeBackend) list(context.Context) ([]string, error) {
	if !f.search {
		return nil, errors.ErrUnsupported
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.items)), nil
}

const account = "secret:adb-1.azuredatabricks.net:11111111-2222-3333-4444-555555555555"

var canary = credential.NewSecret("canary0123456789abcdef")

// wantError checks the kind and a part of the detail.
func wantError(t *testing.T, err, kind error, detail string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || !strings.Contains(e.Detail, detail) {
		t.Errorf("got %+v, want an *Error of kind %q with %q", err, kind, detail)
	}
	if got := errors.Is(err, fs.ErrNotExist); got != (kind == ErrNotFound) {
		t.Errorf("%v: got fs.ErrNotExist = %v", err, got)
	}
	if err != nil && strings.Contains(err.Error(), canary.Reveal()) {
		t.Errorf("the error contains the secret: %v", err)
	}
}

func open(f *fakeBackend) *Keychain { return &Keychain{backend: f, timeout: time.Minute, prompt: true} }

func TestKeychain(t *testing.T) {
	var prompts []bool
	note := func(op, _ string, prompt bool) error { prompts = append(prompts, prompt); return nil }
	k, ctx := open(&fakeBackend{hook: note}), t.Context()
	for _, c := range []struct {
		k    *Keychain
		want string
	}{
		{k.WithTimeout(time.Second), "[true true false true]"}, // Set reads back without a dialog
		{k.NonInteractive().WithTimeout(time.Second), "[false false false false]"},
	} {
		prompts = nil
		_, err := c.k.Get(ctx, account)
		wantError(t, err, ErrNotFound, "")
		if err := c.k.Set(ctx, account, canary); err != nil {
			t.Fatal(err)
		}
		if got, err := c.k.Get(ctx, account); err != nil || !got.Equal(canary) {
			t.Errorf("got %q, %v; want the stored secret", got.Reveal(), err)
		}
		if got := fmt.Sprint(prompts); got != c.want {
			t.Errorf("got prompts %s, want %s", got, c.want)
		}
		if err := c.k.Delete(ctx, account); err != nil {
			t.Fatal(err)
		}
		wantError(t, c.k.Delete(ctx, account), ErrNotFound, "")
	}
}

// The backend ignores its context, as go-keyring does.
func TestTimeout(t *testing.T) {
	for op, call := range map[string]func(context.Context, *Keychain) error{
		"get":    func(ctx context.Context, k *Keychain) error { _, err := k.Get(ctx, account); return err },
		"set":    func(ctx context.Context, k *Keychain) error { return k.Set(ctx, account, canary) },
		"delete": func(ctx context.Context, k *Keychain) error { return k.Delete(ctx, account) },
	} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				k := open(&fakeBackend{hook: func(string, string, bool) error { <-release; return nil }})
				expect := func(ctx context.Context, k *Keychain, after time.Duration, kind error, detail string) {
					t.Helper()
					start := time.Now()
					wantError(t, call(ctx, k), kind, detail)
					if took := time.Since(start); took != after {
						t.Errorf("returned after %v, want %v", took, after)
					}
				}
				expect(t.Context(), k, time.Minute, ErrTimeout, "1m0s")
				expect(t.Context(), k.WithTimeout(0), 0, ErrTimeout, "")
				short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				expect(short, k, time.Millisecond, ErrTimeout, "timeout 1ms") // the limit that ended it
				cancelled, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				expect(cancelled, k, time.Millisecond, context.Canceled, "")
			})
		})
	}
}

// An empty item is not a secret. A panic of the library does not quote its values.
func TestGet_Fails(t *testing.T) {
	_, err := open(&fakeBackend{items: map[string]string{account: " \n"}}).Get(t.Context(), account)
	wantError(t, err, ErrNotFound, "the item is empty")
	k := open(&fakeBackend{hook: func(op, _ string, _ bool) error {
		if op == "set" {
			panic("cannot store " + canary.Reveal())
		}
		var v any = "a string"
		return fmt.Errorf("%v", v.([]int))
	}})
	_, err = k.Get(t.Context(), account)
	wantError(t, err, ErrFailed, "unexpected reply")
	wantError(t, k.Set(t.Context(), account, canary), ErrFailed, "unexpected reply")
	for account, want := range map[string]error{
		"refresh:host:jürgen@example.com": ErrNotFound, // valid
		"a\nadd-generic-password":         ErrFailed,
		"a\x00":                           ErrFailed,
		"\xff":                            ErrFailed,
	} {
		if _, err := open(&fakeBackend{}).Get(t.Context(), account); !errors.Is(err, want) {
			t.Errorf("account %q: got %v, want %v", account, err, want)
		}
	}
}

func TestSet_Fails(t *testing.T) {
	ctx := t.Context()
	fails := func(op string, err error) *fakeBackend {
		return &fakeBackend{hook: func(called, _ string, _ bool) error {
			if called != op {
				return nil
			}
			return err
		}}
	}
	wantError(t, open(&fakeBackend{altered: "something else"}).Set(ctx, account, canary), ErrFailed, "reads back differently")
	wantError(t, open(fails("get", fail(ErrNotFound, ""))).Set(ctx, account, canary), ErrFailed, "could not be read back: not found")
	for _, echo := range []error{fail(ErrFailed, "cannot store "+canary.Reveal()+" today"), errors.New("cannot store " + canary.Reveal() + " today")} {
		wantError(t, open(fails("set", echo)).Set(ctx, account, canary), ErrFailed, "cannot store [redacted] today")
	}
}

func TestError(t *testing.T) {
	if got, want := fail(ErrLocked, "x\x1b[2J").Error(), `the keychain is locked (x\x1B[2J)`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
