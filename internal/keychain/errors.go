package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// kind is what failed, with what to do about it.
type kind struct{ text, hint string }

func (k *kind) Error() string { return k.text }

// Kinds of errors, for errors.Is. Every error of this package is an *Error with one of
// them, or with the context.Canceled of its caller.
var (
	ErrNotFound error = &kind{"not found in the keychain", `store the secret with "lakebase-credential-helper login"`}
	ErrLocked   error = &kind{"the keychain is locked", "unlock the keychain and try again"}
	// ErrAbsent means that there is no session bus, no Secret Service, or no login keyring
	// to write to.
	ErrAbsent error = &kind{"no keychain is available",
		`store the secret in a file with "lakebase-credential-helper login --store file"`}
	// ErrTimeout means that the keychain, or the user at its dialog, did not respond.
	ErrTimeout error = &kind{"the keychain did not respond in time",
		"answer the keychain's dialog if one is open, or raise --keychain-timeout"}
	// ErrTooBig means that the item is longer than the keychain allows.
	ErrTooBig error = &kind{"too long for the keychain", "check that the input is the secret alone"}
	ErrFailed error = &kind{"the keychain failed",
		"try again; if the error persists, check the keychain with the tools of the system"}
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
	if k, ok := errors.AsType[*kind](e.Err); ok {
		return k.hint
	}
	return ""
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
