package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Kinds of errors, for errors.Is. Every error of this package is an *Error with one of
// them, or with the context.Canceled of its caller.
var (
	ErrNotFound = errors.New("not found in the keychain")
	ErrLocked   = errors.New("the keychain is locked")
	// ErrAbsent means that there is no session bus, no Secret Service, or no login keyring
	// to write to.
	ErrAbsent = errors.New("no keychain is available")
	// ErrTimeout means that the keychain, or the user at its dialog, did not respond.
	ErrTimeout = errors.New("the keychain did not respond in time")
	// ErrTooBig means that the item or its account is longer than all platforms allow.
	ErrTooBig = errors.New("too long for the keychain")
	ErrFailed = errors.New("the keychain failed")
)

// Error is the error of an operation.
type Error struct {
	Err    error  // one of the kinds above, or context.Canceled
	Detail string // from the keychain service; one safe line
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v (%s)", e.Err, e.Detail)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Err }

// Is reports that ErrNotFound is fs.ErrNotExist too.
func (e *Error) Is(target error) bool { return target == fs.ErrNotExist && e.Err == ErrNotFound }

// Locked reports whether the keychain is locked.
func (e *Error) Locked() bool { return errors.Is(e.Err, ErrLocked) }

// Hint returns what to do about the error.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e, ErrNotFound):
		return `store the secret with "lakebase-credential-helper login"`
	case errors.Is(e, ErrLocked):
		return "unlock the keychain and try again"
	case errors.Is(e, ErrAbsent):
		return `store the secret in a file with "lakebase-credential-helper login --store file"`
	case errors.Is(e, ErrTimeout):
		return "answer the keychain's dialog if one is open, or raise --keychain-timeout"
	case errors.Is(e, ErrTooBig):
		return "check that the input is the secret alone"
	}
	return "try again; if the error persists, check the keychain with the tools of the system"
}

func fail(kind error, detail string) error {
	return &Error{Err: kind, Detail: sanitize.Line(detail)}
}

// wrapError makes any error of a backend an *Error.
func wrapError(err error, limit time.Duration) error {
	var e *Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fail(ErrTimeout, fmt.Sprintf("timeout %v", limit))
	case errors.Is(err, context.Canceled):
		return &Error{Err: context.Canceled}
	}
	return classify(err)
}
