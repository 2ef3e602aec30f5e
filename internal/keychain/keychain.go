// Package keychain owns the operating system's keychain: the Secret Service of
// a Linux or BSD desktop, the macOS keychain, the Windows Credential Manager.
// It is the only importer of go-keyring. Every call has a deadline, and every
// failure is an *Error of one kind.
//
// It must never start a message bus, change the process environment, or put a
// secret in an error. The quiet calls, Read, Peek and Put, never make a dialog
// appear.
package keychain

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Service is the service name of every item.
const Service = "lakebase"

// MaxItem is the most bytes that one item may have. Windows takes 2,560 bytes,
// and macOS a command line of 4,096 in base64 (go-keyring, ErrSetDataTooBig).
const MaxItem = 2400

// maxAccount bounds an account name in bytes: on macOS it shares the 4,096
// bytes with the item.
const maxAccount = 512

// quietLimit bounds the calls that never prompt.
const quietLimit = time.Second

// backend is one platform's keychain. It returns an *Error without Op and
// Account, or the error of ctx; anything else counts as ErrFailed. It may block
// for longer than ctx lives: its caller does not wait for it.
type backend interface {
	get(ctx context.Context, account string, prompt bool) (credential.Secret, error)
	set(ctx context.Context, account string, secret credential.Secret, prompt bool) error
	remove(ctx context.Context, account string) error
}

// Options say how to use the keychain.
type Options struct {
	// Timeout bounds each Get, Set and Delete, a person's typing included.
	// It must be above zero: otherwise these calls time out at once.
	Timeout time.Duration

	// Environ looks up a variable of this process: os.Getenv. It is needed on
	// Linux and BSD, where the libraries below read DBUS_SESSION_BUS_ADDRESS
	// themselves. The program has put there what BusAddress returned; where
	// Environ finds none, every call returns ErrAbsent and no library runs.
	Environ func(string) string

	backend backend       // for tests
	quiet   time.Duration // for tests; quietLimit
}

// Keychain gives access to the items of Service. It is safe for concurrent use.
type Keychain struct {
	timeout time.Duration
	quiet   time.Duration // bounds Peek and Put
	backend backend
}

// Open returns the keychain of the caller. It touches nothing: the first call
// connects.
func Open(o Options) *Keychain {
	if o.Environ == nil {
		o.Environ = func(string) string { return "" }
	}
	if o.backend == nil {
		o.backend = newBackend(o.Environ)
	}
	if o.quiet == 0 {
		o.quiet = quietLimit
	}
	return &Keychain{timeout: o.Timeout, quiet: o.quiet, backend: o.backend}
}

// Get returns the item of account. A locked keychain may show its unlock
// dialog. Errors: ErrNotFound, ErrLocked, ErrDismissed, ErrAbsent, ErrTimeout
// after Options.Timeout, ErrFailed.
func (k *Keychain) Get(ctx context.Context, account string) (credential.Secret, error) {
	return k.call(ctx, "get", account, k.timeout, func(ctx context.Context) (credential.Secret, error) {
		return k.backend.get(ctx, account, true)
	})
}

// Read is Get without a dialog: a locked keychain is ErrLocked at once, and a
// silent one ErrTimeout after Options.Timeout.
func (k *Keychain) Read(ctx context.Context, account string) (credential.Secret, error) {
	return k.call(ctx, "read", account, k.timeout, func(ctx context.Context) (credential.Secret, error) {
		return k.backend.get(ctx, account, false)
	})
}

// Peek is Read for what can be made again: a locked keychain is ErrLocked at once, and a
// silent one ErrTimeout after a second.
func (k *Keychain) Peek(ctx context.Context, account string) (credential.Secret, error) {
	return k.call(ctx, "peek", account, k.quiet, func(ctx context.Context) (credential.Secret, error) {
		return k.backend.get(ctx, account, false)
	})
}

// Set stores secret under account, replacing what was there, and reads it back.
// A locked keychain may show its unlock dialog. An item above MaxItem bytes is
// ErrTooBig and not stored; one that reads back differently is ErrFailed.
// After ErrTimeout the item may still be written later.
func (k *Keychain) Set(ctx context.Context, account string, secret credential.Secret) error {
	return k.store(ctx, "set", account, secret, k.timeout, true)
}

// Put is Set without a dialog, for what can be made again: a locked keychain is
// ErrLocked at once, and a silent one ErrTimeout after a second.
func (k *Keychain) Put(ctx context.Context, account string, secret credential.Secret) error {
	return k.store(ctx, "put", account, secret, k.quiet, false)
}

// Delete removes the item of account. ErrNotFound says that there was none. A
// locked keychain may show its unlock dialog.
func (k *Keychain) Delete(ctx context.Context, account string) error {
	_, err := k.call(ctx, "delete", account, k.timeout, func(ctx context.Context) (credential.Secret, error) {
		return credential.Secret{}, k.backend.remove(ctx, account)
	})
	return err
}

func (k *Keychain) store(ctx context.Context, op, account string, secret credential.Secret, limit time.Duration, prompt bool) error {
	if n := len(secret.Reveal()); n > MaxItem {
		return &Error{Op: op, Account: account, Err: ErrTooBig, Detail: fmt.Sprintf("%d bytes, of %d allowed", n, MaxItem)}
	}
	_, err := k.call(ctx, op, account, limit, func(ctx context.Context) (credential.Secret, error) {
		if err := k.backend.set(ctx, account, secret, prompt); err != nil {
			return credential.Secret{}, scrub(err, secret)
		}
		got, err := k.backend.get(ctx, account, false)
		if errors.Is(err, ErrNotFound) {
			err = fail(ErrFailed, "the item was not stored")
		}
		if err != nil {
			return credential.Secret{}, scrub(err, secret)
		}
		if !got.Equal(secret) {
			return credential.Secret{}, fail(ErrFailed, "the item reads back differently")
		}
		return credential.Secret{}, nil
	})
	return err
}

type result struct {
	secret credential.Secret
	err    error
}

// call runs do and waits for it until ctx ends or limit has passed. The libraries
// below can wait for ever, and cannot be stopped: a goroutine that is given up
// stays until they return. That is accepted, as the process is about to exec or
// exit, and those that prompt take turns, so that they do not pile up dialogs.
func (k *Keychain) call(ctx context.Context, op, account string, limit time.Duration, do func(context.Context) (credential.Secret, error)) (credential.Secret, error) {
	wrap := func(err error) error { return wrapped(err, op, account, limit) }
	if err := checkAccount(account); err != nil {
		return credential.Secret{}, wrap(err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return credential.Secret{}, wrap(err)
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: fail(ErrFailed, "the keychain library ended its goroutine")}
		defer func() {
			// go-keyring asserts the types of bus replies without checking.
			if p := recover(); p != nil {
				r = result{err: panicked(p)}
			}
			done <- r
		}()
		r.secret, r.err = do(ctx)
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		select {
		case r = <-done: // both at once: an answer is worth more
		default:
			r.err = ctx.Err()
		}
	}
	if r.err != nil {
		return credential.Secret{}, wrap(r.err)
	}
	return r.secret, nil
}

// panicked shows a panic's text only when the runtime made it: that names
// types, never values.
func panicked(p any) error {
	if e, ok := p.(runtime.Error); ok {
		return fail(ErrFailed, "an answer of the wrong form: "+e.Error())
	}
	return fail(ErrFailed, "an answer of the wrong form")
}

// checkAccount refuses what would be read as something else below: macOS takes
// commands line by line.
func checkAccount(account string) error {
	switch {
	case account == "":
		return fail(ErrFailed, "an empty account name")
	case len(account) > maxAccount:
		return fail(ErrTooBig, fmt.Sprintf("an account name of %d bytes, of %d allowed", len(account), maxAccount))
	case !utf8.ValidString(account) || strings.ContainsFunc(account, unicode.IsControl):
		return fail(ErrFailed, "an account name with control characters or invalid UTF-8")
	}
	return nil
}
