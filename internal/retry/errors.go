package retry

import (
	"fmt"
	"time"
)

// Cause is why Do gave up.
type Cause string

// The causes.
const (
	CauseBudget     Cause = "no time left"                                                  // before the context's deadline
	CauseRetryAfter Cause = "the server asks to wait for longer than the time that is left" // see Error.After
	CauseCanceled   Cause = "canceled"
)

// Error says that Do gave up on an operation that was worth another try, or
// never began.
type Error struct {
	Attempts int           // how often the operation ran
	Elapsed  time.Duration // since Do was called
	Cause    Cause
	After    time.Duration // what the server asked for, with CauseRetryAfter
	Last     error         // the operation's last error; nil if it never ran

	ctx error // the context's own, if that was done
}

// Error puts the operation's own words first.
func (e *Error) Error() string {
	why := string(e.Cause)
	if e.After > 0 {
		why += fmt.Sprintf(" (%s)", e.After.Round(time.Second))
	}
	if e.Last == nil {
		return "not tried: " + why
	}
	tries := "1 try"
	if e.Attempts != 1 {
		tries = fmt.Sprintf("%d tries", e.Attempts)
	}
	return fmt.Sprintf("%v; gave up after %s in %s: %s", e.Last, tries, e.Elapsed.Round(100*time.Millisecond), why)
}

// Unwrap gives the operation's last error, and the context's if it was done.
func (e *Error) Unwrap() []error {
	var list []error
	for _, err := range []error{e.Last, e.ctx} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}
