package keychain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// The kinds of failure. Every error of this package is an *Error that matches
// one of them, or the context.Canceled of its caller, under errors.Is.
var (
	// ErrNotFound: the keychain answered, and has no such item.
	ErrNotFound = errors.New("no such item in the keychain")
	// ErrLocked: the keychain is locked and was not unlocked.
	ErrLocked = errors.New("the keychain is locked")
	// ErrDismissed: the dialog was dismissed, or nothing could show it. It is
	// ErrLocked too.
	ErrDismissed = fmt.Errorf("%w, and its dialog was dismissed or could not be shown", ErrLocked)
	// ErrAbsent: there is no keychain: no bus, no provider, no login keyring to
	// write to, or an unsupported system.
	ErrAbsent = errors.New("there is no keychain")
	// ErrTimeout: the keychain, or the person in front of it, did not answer in time.
	ErrTimeout = errors.New("the keychain did not answer in time")
	// ErrTooBig: the item or its name is longer than every keychain takes.
	ErrTooBig = errors.New("too big for the keychain")
	// ErrFailed: anything else, such as an answer that makes no sense.
	ErrFailed = errors.New("the keychain failed")
)

// Error is a failed operation. Detail is the service's own text, one safe line.
type Error struct {
	Op      string // get, peek, set, put or delete
	Account string
	Err     error // one of the kinds above, or context.Canceled
	Detail  string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("keychain %s %q: %v", e.Op, e.Account, e.Err)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error that wrapped completes.
func fail(kind error, detail string) error {
	return &Error{Err: kind, Detail: sanitize.Line(detail)}
}

// wrapped gives err its operation and account, and context errors their kind.
func wrapped(err error, op, account string, limit time.Duration) error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return &Error{Op: op, Account: account, Err: e.Err, Detail: e.Detail}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Op: op, Account: account, Err: ErrTimeout, Detail: fmt.Sprintf("at most %v", limit)}
	case errors.Is(err, context.Canceled):
		return &Error{Op: op, Account: account, Err: context.Canceled}
	}
	return wrapped(fail(ErrFailed, err.Error()), op, account, limit)
}

// scrub removes secret from an error's words: a service may echo what it was sent.
func scrub(err error, secret credential.Secret) error {
	var e *Error
	if errors.As(err, &e) {
		return fail(e.Err, credential.Scrub(e.Detail, secret))
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return fail(ErrFailed, credential.Scrub(err.Error(), secret))
}

// Missing says whether there is no such item, and nothing worse.
func (e *Error) Missing() bool { return errors.Is(e.Err, ErrNotFound) }

// Locked says whether the keychain is locked.
func (e *Error) Locked() bool { return errors.Is(e.Err, ErrLocked) }

// Absent says whether there is no keychain.
func (e *Error) Absent() bool { return errors.Is(e.Err, ErrAbsent) }
