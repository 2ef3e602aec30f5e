package exchange

import (
	"context"
	"errors"

	"github.com/lakebase-exec/lakebase-exec/internal/retry"
)

// Retry repeats a call until it succeeds, fails permanently, or ctx ends.
// The error is the call's, inside a *retry.Error after several attempts.
func Retry[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	return retry.Do(ctx, retry.Exchange(), call, Verdict)
}

// Verdict judges an error of a call for retry.Do.
func Verdict(err error) retry.Verdict {
	var e *Error
	if !errors.As(err, &e) {
		return retry.Verdict{}
	}
	again, after := e.Retryable()
	return retry.Verdict{Retry: again, After: after}
}
