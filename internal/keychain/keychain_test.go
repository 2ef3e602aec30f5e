package keychain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// fake is a keychain in memory. The hooks run first, and their error is the answer.
type fake struct {
	mu       sync.Mutex
	items    map[string]string
	onGet    func(ctx context.Context, prompt bool) error
	onSet    func(ctx context.Context, prompt bool) error
	onRemove func(ctx context.Context) error
	altered  string // stored instead of what was given
}

func (f *fake) get(ctx context.Context, account string, prompt bool) (credential.Secret, error) {
	if f.onGet != nil {
		if err := f.onGet(ctx, prompt); err != nil {
			return credential.Secret{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.items[account]
	if !ok {
		return credential.Secret{}, fail(ErrNotFound, "")
	}
	return credential.NewSecret(text), nil
}

func (f *fake) set(ctx context.Context, account string, secret credential.Secret, prompt bool) error {
	if f.onSet != nil {
		if err := f.onSet(ctx, prompt); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.items == nil {
		f.items = map[string]string{}
	}
	f.items[account] = secret.Reveal()
	if f.altered != "" {
		f.items[account] = f.altered
	}
	return nil
}

func (f *fake) remove(ctx context.Context, account string) error {
	if f.onRemove != nil {
		if err := f.onRemove(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.items[account]; !ok {
		return fail(ErrNotFound, "")
	}
	delete(f.items, account)
	return nil
}

const account = "secret:adb-1.azuredatabricks.net:11111111-2222-3333-4444-555555555555"

var hush = credential.NewSecret("dose0123456789abcdef")

// wantError checks kind, operation, account and, where given, words of the detail.
func wantError(t *testing.T, err error, op string, kind error, words ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: error is %v, want an *Error of kind %q", op, err, kind)
	}
	if !errors.Is(err, kind) || e.Op != op || e.Account != account {
		t.Errorf("error is %+v, want %s of kind %q", e, op, kind)
	}
	for _, w := range words {
		if !strings.Contains(e.Detail, w) {
			t.Errorf("detail %q lacks %q", e.Detail, w)
		}
	}
	if strings.Contains(err.Error(), hush.Reveal()) {
		t.Errorf("the error holds the secret: %v", err)
	}
}

func open(f *fake) *Keychain { return Open(Options{Timeout: time.Minute, backend: f}) }

func TestSetGetPeekPutDelete(t *testing.T) {
	k, ctx := open(&fake{}), t.Context()
	if err := k.Set(ctx, account, hush); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func(context.Context, string) (credential.Secret, error){k.Get, k.Peek} {
		if got, err := read(ctx, account); err != nil || !got.Equal(hush) {
			t.Errorf("read back %q, %v", got.Reveal(), err)
		}
	}
	other := credential.NewSecret("another")
	if err := k.Put(ctx, account, other); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(ctx, account); err != nil || !got.Equal(other) {
		t.Errorf("after Put, Get = %q, %v", got.Reveal(), err)
	}
	if err := k.Delete(ctx, account); err != nil {
		t.Fatal(err)
	}
	wantError(t, k.Delete(ctx, account), "delete", ErrNotFound)
	_, err := k.Get(ctx, account)
	wantError(t, err, "get", ErrNotFound)
}

func TestOnlyLoudCallsMayPrompt(t *testing.T) {
	var asked []bool
	note := func(_ context.Context, prompt bool) error { asked = append(asked, prompt); return nil }
	f := &fake{onGet: note, onSet: note}
	k, ctx := open(f), t.Context()
	check := func(name string, err error, want ...bool) {
		t.Helper()
		if err != nil || fmt.Sprint(asked) != fmt.Sprint(want) {
			t.Errorf("%s: prompt = %v, %v, want %v", name, asked, err, want)
		}
		asked = nil
	}
	check("set", k.Set(ctx, account, hush), true, false)
	check("put", k.Put(ctx, account, hush), false, false)
	_, err := k.Get(ctx, account)
	check("get", err, true)
	_, err = k.Peek(ctx, account)
	check("peek", err, false)
	_, err = k.Read(ctx, account)
	check("read", err, false)
}

// TestDeadlines uses a backend that ignores its context, as go-keyring does.
func TestDeadlines(t *testing.T) {
	calls := []struct {
		op    string
		limit time.Duration
		call  func(context.Context, *Keychain) error
	}{
		{"get", time.Minute, func(ctx context.Context, k *Keychain) error { _, err := k.Get(ctx, account); return err }},
		{"read", time.Minute, func(ctx context.Context, k *Keychain) error { _, err := k.Read(ctx, account); return err }},
		{"peek", quietLimit, func(ctx context.Context, k *Keychain) error { _, err := k.Peek(ctx, account); return err }},
		{"set", time.Minute, func(ctx context.Context, k *Keychain) error { return k.Set(ctx, account, hush) }},
		{"put", quietLimit, func(ctx context.Context, k *Keychain) error { return k.Put(ctx, account, hush) }},
		{"delete", time.Minute, func(ctx context.Context, k *Keychain) error { return k.Delete(ctx, account) }},
	}
	for _, c := range calls {
		t.Run(c.op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				hang := func() error { <-release; return nil }
				k := open(&fake{
					onGet:    func(context.Context, bool) error { return hang() },
					onSet:    func(context.Context, bool) error { return hang() },
					onRemove: func(context.Context) error { return hang() },
				})
				ends := func(ctx context.Context, after time.Duration, kind error, words ...string) {
					t.Helper()
					began := time.Now()
					wantError(t, c.call(ctx, k), c.op, kind, words...)
					if took := time.Since(began); took != after {
						t.Errorf("ended after %v, want %v", took, after)
					}
				}
				ends(t.Context(), c.limit, ErrTimeout, c.limit.String())

				short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				ends(short, time.Millisecond, ErrTimeout)

				cancelled, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				ends(cancelled, time.Millisecond, context.Canceled)
			})
		})
	}
}

func TestNoTimeoutIsNoTime(t *testing.T) {
	k := Open(Options{backend: &fake{onGet: func(context.Context, bool) error {
		t.Error("the backend was called")
		return nil
	}}})
	_, err := k.Get(t.Context(), account)
	wantError(t, err, "get", ErrTimeout)
}

func TestPanicsBecomeErrors(t *testing.T) {
	k := open(&fake{onGet: func(context.Context, bool) error {
		var v any = "a string"
		return fmt.Errorf("%v", v.([]int))
	}})
	_, err := k.Get(t.Context(), account)
	wantError(t, err, "get", ErrFailed, "wrong form", "interface conversion")

	k = open(&fake{onSet: func(context.Context, bool) error { panic("cannot store " + hush.Reveal()) }})
	wantError(t, k.Set(t.Context(), account, hush), "set", ErrFailed, "wrong form")
}

func TestTooBig(t *testing.T) {
	f := &fake{}
	k := open(f)
	most := credential.NewSecret(strings.Repeat("x", MaxItem))
	if err := k.Set(t.Context(), account, most); err != nil {
		t.Errorf("%d bytes: %v", MaxItem, err)
	}
	f.onSet = func(context.Context, bool) error { t.Error("the backend was called"); return nil }
	more := credential.NewSecret(strings.Repeat("x", MaxItem+1))
	wantError(t, k.Set(t.Context(), account, more), "set", ErrTooBig, "2401 bytes")
	wantError(t, k.Put(t.Context(), account, more), "put", ErrTooBig, "2401 bytes")
}

func TestReadBack(t *testing.T) {
	k := open(&fake{altered: "something else"})
	wantError(t, k.Set(t.Context(), account, hush), "set", ErrFailed, "reads back differently")
	wantError(t, k.Put(t.Context(), account, hush), "put", ErrFailed, "reads back differently")

	k = open(&fake{onGet: func(context.Context, bool) error { return fail(ErrNotFound, "") }})
	wantError(t, k.Set(t.Context(), account, hush), "set", ErrFailed, "not stored")
}

// TestErrorsHoldNoSecret lets a service echo what it was sent.
func TestErrorsHoldNoSecret(t *testing.T) {
	for _, echo := range []error{
		fail(ErrFailed, "cannot store "+hush.Reveal()+" today"),
		errors.New("cannot store " + hush.Reveal() + " today"),
	} {
		k := open(&fake{onSet: func(context.Context, bool) error { return echo }})
		wantError(t, k.Set(t.Context(), account, hush), "set", ErrFailed, "cannot store [redacted] today")
	}
}

func TestDetailIsBounded(t *testing.T) {
	k := open(&fake{onGet: func(context.Context, bool) error { return errors.New(strings.Repeat("x", 10_000)) }})
	_, err := k.Get(t.Context(), account)
	var e *Error
	if !errors.As(err, &e) || len(e.Detail) != sanitize.MaxLine {
		t.Errorf("detail of %d bytes, want %d", len(e.Detail), sanitize.MaxLine)
	}
}

func TestAccountNames(t *testing.T) {
	for _, c := range []struct {
		account string
		want    error
	}{
		{"refresh:host:jürgen@example.com", ErrNotFound}, // goes through
		{strings.Repeat("x", maxAccount), ErrNotFound},
		{strings.Repeat("x", maxAccount+1), ErrTooBig},
		{"", ErrFailed},
		{"a\nadd-generic-password", ErrFailed},
		{"a\x00", ErrFailed},
		{"\xff", ErrFailed},
	} {
		if _, err := open(&fake{}).Get(t.Context(), c.account); !errors.Is(err, c.want) {
			t.Errorf("account %q: %v, want %v", c.account, err, c.want)
		}
	}
}

func TestDismissedIsLocked(t *testing.T) {
	if !errors.Is(ErrDismissed, ErrLocked) || errors.Is(ErrLocked, ErrDismissed) {
		t.Error("ErrDismissed must be a case of ErrLocked, and not the other way round")
	}
}
