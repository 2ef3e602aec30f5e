// Package keychain reads and writes items of the operating system's keychain: the
// Secret Service of a Linux or BSD desktop, the macOS keychain, the Windows Credential
// Manager. It is the only importer of go-keyring. Every call has a deadline, and every
// error is an *Error.
//
// It does not start a message bus, change the process environment, or put a secret in
// an error.
package keychain

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Service is the service name of every item.
const Service = "lakebase"

// CacheTimeout is the timeout for items that can be obtained again, such as cached
// tokens.
const CacheTimeout = time.Second

// backend is the keychain of one platform. It returns an *Error, the error of ctx, or one
// for classify. It may block after ctx has ended: its caller does not wait.
type backend interface {
	get(ctx context.Context, account string, prompt bool) (credential.Secret, error)
	set(ctx context.Context, account string, secret credential.Secret, prompt bool) error
	remove(ctx context.Context, account string) error
	list(ctx context.Context) ([]string, error) // an error if the platform cannot
}

// Keychain accesses the items of Service. It is safe for concurrent use.
type Keychain struct {
	backend backend
	timeout time.Duration
	prompt  bool
}

// Open returns the user's keychain, which may show dialogs. It does not connect: the
// first call does. Each call is limited by timeout, including a user's input; with zero,
// calls time out at once.
//
// On Linux and BSD bus is the result of BusAddress. The program must set
// DBUS_SESSION_BUS_ADDRESS to it first: godbus reads that itself, and without it executes
// dbus-launch from PATH. Without a bus all calls return ErrAbsent.
func Open(timeout time.Duration, bus string) *Keychain {
	return &Keychain{backend: newBackend(bus), timeout: timeout, prompt: true}
}

// NonInteractive returns a keychain whose Get and Set return ErrLocked instead of
// showing a dialog.
func (k *Keychain) NonInteractive() *Keychain {
	return &Keychain{backend: k.backend, timeout: k.timeout}
}

// WithTimeout returns a keychain with another timeout.
func (k *Keychain) WithTimeout(d time.Duration) *Keychain {
	return &Keychain{backend: k.backend, timeout: d, prompt: k.prompt}
}

// Get returns the item of account. It may show the unlock dialog of a locked keychain.
func (k *Keychain) Get(ctx context.Context, account string) (credential.Secret, error) {
	return call(ctx, k.timeout, account, func(ctx context.Context) (credential.Secret, error) {
		secret, err := k.backend.get(ctx, account, k.prompt)
		if err == nil && strings.TrimSpace(secret.Reveal()) == "" {
			err = fail(ErrNotFound, "the item is empty")
		}
		return secret, err
	})
}

// Set stores or replaces the item of account, and reads it back. It may show the unlock
// dialog of a locked keychain. After ErrTimeout the item may still be stored later.
func (k *Keychain) Set(ctx context.Context, account string, secret credential.Secret) error {
	_, err := call(ctx, k.timeout, account, func(ctx context.Context) (struct{}, error) {
		if err := k.backend.set(ctx, account, secret, k.prompt); err != nil {
			return struct{}{}, err
		}
		got, err := k.backend.get(ctx, account, false)
		switch {
		case err != nil:
			err = fail(ErrFailed, "the item could not be read back: "+wrapError(err, k.timeout).Error())
		case !got.Equal(secret):
			err = fail(ErrFailed, "the item reads back differently")
		}
		return struct{}{}, err
	})
	var e *Error
	if errors.As(err, &e) { // a service may echo its input
		e.Detail = credential.Redact(e.Detail, secret)
	}
	return err
}

// Delete removes the item of account. It may show the unlock dialog of a locked
// keychain, also if the keychain is NonInteractive.
func (k *Keychain) Delete(ctx context.Context, account string) error {
	_, err := call(ctx, k.timeout, account, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, k.backend.remove(ctx, account)
	})
	return err
}

// Accounts searches the keychain for the items of Service and returns their accounts,
// in no order, or an error where that is not possible. It shows no dialog.
func (k *Keychain) Accounts(ctx context.Context) ([]string, error) {
	return call(ctx, k.timeout, IndexAccount, k.backend.list)
}

// call runs do until ctx ends or the timeout has passed. The libraries may block
// forever: an abandoned goroutine ends when they return. This is acceptable, as the
// process is about to exec or exit, and only one goroutine at a time shows a dialog.
func call[T any](ctx context.Context, timeout time.Duration, account string, do func(context.Context) (T, error)) (T, error) {
	var none T
	limit := timeout
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < limit*9/10 { // and not a caller's timer for the same limit
		limit = max(0, time.Until(deadline)).Round(time.Millisecond)
	}
	if err := checkAccount(account); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return none, wrapError(err, limit)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		// go-keyring panics on D-Bus replies of an unexpected type, and could quote them.
		r := result{err: fail(ErrFailed, "unexpected reply")}
		defer func() { _ = recover(); done <- r }()
		r.value, r.err = do(ctx)
	}()
	select {
	case r := <-done:
		return r.value, wrapError(r.err, limit)
	case <-ctx.Done():
		return none, wrapError(ctx.Err(), limit)
	}
}

// checkAccount rejects names that a backend would misinterpret: on macOS go-keyring
// writes commands line by line.
func checkAccount(account string) error {
	if !utf8.ValidString(account) || strings.ContainsFunc(account, unicode.IsControl) {
		return fail(ErrFailed, "account name with control characters or invalid UTF-8")
	}
	return nil
}
