// Package refresh keeps one database token fresh for as long as a supervisor
// runs. It owns when a token is replaced, how a failure is retried, and what is
// told of it. It must never mint by itself, never hold more than one refresh at a
// time, and never put a token in an error, event or statistic.
//
// A token ends by the wall clock, also while the machine sleeps; Go's timers run
// on the monotonic clock, which on Linux stands still meanwhile. So both are
// compared at short intervals, and the greater age counts.
package refresh
