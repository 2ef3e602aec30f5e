// Package keychain reads and writes items of the operating system's keychain: the
// Secret Service of a Linux or BSD desktop, the macOS keychain, the Windows Credential
// Manager. It is the only importer of go-keyring. Every call has a deadline, and every
// error is an *Error.
//
// It does not start a message bus, change the process environment, or put a secret in
// an error. Get and Set of a NonInteractive keychain never show a dialog.
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

// maxItem is the maximal size of an item in bytes. Windows allows 2,560 bytes, and
// macOS a command line of 4,096 in base64 (go-keyring, ErrSetDataTooBig). The Secret
// Service has no limit of its own.
var maxItem = itemLimit(runtime.GOOS)

func itemLimit(goos string) int {
	if goos == "windows" || goos == "darwin" {
		return smallItem
	}
	return 64 << 10
}

// smallItem is a size that every platform allows.
const smallItem = 2400

// maxAccount is the maximal size of an account name in bytes: on macOS it shares the
// 4,096 bytes with the item.
const maxAccount = 512

// CacheTimeout is the timeout for items that can be obtained again, such as cached
// tokens.
const CacheTimeout = time.Second

// backend is the keychain of one platform. It returns an *Error without Op and Account,
// or the error of ctx; any other error means ErrFailed. It may block after ctx has ended:
// its caller does not wait.
type backend interface {
	get(ctx context.Context, account string, prompt bool) (credential.Secret, error)
	set(ctx context.Context, account string, secret credential.Secret, prompt bool) error
	remove(ctx context.Context, account string) error
	list(ctx context.Context) ([]string, error) // fail(ErrNoList, "") if the platform cannot
}

// Options configure a Keychain.
type Options struct {
	// Timeout limits each call, including a user's input. With zero, calls time out at
	// once.
	Timeout time.Duration

	// Environ looks up an environment variable of this process: os.Getenv. It is required
	// on Linux and BSD, where go-keyring reads DBUS_SESSION_BUS_ADDRESS itself: the program
	// has set it to the result of BusAddress. If it is unset, all calls return ErrAbsent
	// without calling go-keyring.
	Environ func(string) string
}

// Keychain accesses the items of Service. It is safe for concurrent use.
type Keychain struct {
	backend backend
	timeout time.Duration
	prompt  bool
}

// Open returns the user's keychain, which may show dialogs. It does not connect: the
// first call does.
func Open(o Options) *Keychain {
	if o.Environ == nil {
		o.Environ = func(string) string { return "" }
	}
	return &Keychain{backend: newBackend(o.Environ), timeout: o.Timeout, prompt: true}
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
	return k.call(ctx, "get", account, func(ctx context.Context) (credential.Secret, error) {
		secret, err := k.backend.get(ctx, account, k.prompt)
		if err == nil && strings.TrimSpace(secret.Reveal()) == "" {
			err = fail(ErrNotFound, "the item is empty")
		}
		return secret, err
	})
}

// Set stores or replaces the item of account, and reads it back. It may show the unlock
// dialog of a locked keychain. An item longer than maxItem is not stored: ErrTooBig.
// After ErrTimeout the item may still be stored later.
func (k *Keychain) Set(ctx context.Context, account string, secret credential.Secret) error {
	if n := len(secret.Reveal()); n > maxItem {
		return &Error{Op: "set", Account: account, Err: ErrTooBig, Detail: fmt.Sprintf("%d bytes, maximum %d", n, maxItem)}
	}
	_, err := k.call(ctx, "set", account, func(ctx context.Context) (credential.Secret, error) {
		if err := k.backend.set(ctx, account, secret, k.prompt); err != nil {
			return credential.Secret{}, redact(err, secret)
		}
		got, err := k.backend.get(ctx, account, false)
		switch {
		case errors.Is(err, ErrNotFound):
			err = fail(ErrFailed, "the item was not stored")
		case err != nil:
			err = redact(err, secret)
		case !got.Equal(secret):
			err = fail(ErrFailed, "the item reads back differently")
		}
		return credential.Secret{}, err
	})
	return err
}

// Delete removes the item of account. It may show the unlock dialog of a locked
// keychain, also if the keychain is NonInteractive.
func (k *Keychain) Delete(ctx context.Context, account string) error {
	_, err := k.call(ctx, "delete", account, func(ctx context.Context) (credential.Secret, error) {
		return credential.Secret{}, k.backend.remove(ctx, account)
	})
	return err
}

// Accounts searches the keychain for the items of Service and returns their accounts,
// in no order. Where that is not possible the error is ErrNoList. It shows no dialog.
func (k *Keychain) Accounts(ctx context.Context) ([]string, error) {
	text, err := k.call(ctx, "list", IndexAccount, func(ctx context.Context) (credential.Secret, error) {
		accounts, err := k.backend.list(ctx)
		return credential.NewSecret(strings.Join(accounts, "\n")), err // no account has a line end: see checkAccount
	})
	if err != nil || text.IsZero() {
		return nil, err
	}
	return strings.Split(text.Reveal(), "\n"), nil
}

type result struct {
	secret credential.Secret
	err    error
}

// call runs do until ctx ends or the timeout has passed. The libraries may block
// forever: an abandoned goroutine ends when they return. This is acceptable, as the
// process is about to exec or exit, and only one goroutine at a time shows a dialog.
func (k *Keychain) call(ctx context.Context, op, account string, do func(context.Context) (credential.Secret, error)) (credential.Secret, error) {
	limit := k.timeout
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < limit*9/10 { // and not a caller's timer for the same limit
		limit = max(0, time.Until(deadline)).Round(time.Millisecond)
	}
	wrap := func(err error) error { return wrapError(err, op, account, limit) }
	if err := checkAccount(account); err != nil {
		return credential.Secret{}, wrap(err)
	}
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return credential.Secret{}, wrap(err)
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: fail(ErrFailed, "the keychain library ended the goroutine")}
		defer func() {
			// go-keyring panics on D-Bus replies of an unexpected type.
			if p := recover(); p != nil {
				r = result{err: panicError(p)}
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
		case r = <-done: // both happened: prefer the result
		default:
			r.err = ctx.Err()
		}
	}
	if r.err != nil {
		return credential.Secret{}, wrap(r.err)
	}
	return r.secret, nil
}

// panicError includes the text of a panic only if it is a runtime error, which
// contains types, but no values.
func panicError(p any) error {
	if e, ok := p.(runtime.Error); ok {
		return fail(ErrFailed, "unexpected reply: "+e.Error())
	}
	return fail(ErrFailed, "unexpected reply")
}

// checkAccount rejects names that a backend would misinterpret: on macOS go-keyring
// writes commands line by line.
func checkAccount(account string) error {
	switch {
	case account == "":
		return fail(ErrFailed, "empty account name")
	case len(account) > maxAccount:
		return fail(ErrTooBig, fmt.Sprintf("account name of %d bytes, maximum %d", len(account), maxAccount))
	case !utf8.ValidString(account) || strings.ContainsFunc(account, unicode.IsControl):
		return fail(ErrFailed, "account name with control characters or invalid UTF-8")
	}
	return nil
}
