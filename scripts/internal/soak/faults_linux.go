package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// notMet is how long a fault may lie there without anybody meeting it.
const notMet = 40 * time.Second

// fault is one kind. put puts it in, and returns when the proxy has met it.
type fault struct {
	name string
	put  func(ctx context.Context, w *world, random *rand.Rand) error
}

// The faults of the workspace and of the keychain are met by a renewal, those of
// the database by a login. So two of them are under way at any time.
var (
	renewals = []fault{
		{"workspace 503", answer(emulator.CallCredentials, 2, 503, "")},
		{"workspace 503 at sign-in", answer(emulator.CallToken, 1, 503, "")},
		{"workspace 429", answer(emulator.CallCredentials, 1, 429, "1")},
		{"workspace reset", request(emulator.Fault{Call: emulator.CallToken, Drop: true})},
		{"workspace cut short", request(emulator.Fault{Call: emulator.CallCredentials, Truncate: true})},
		{"workspace slow", request(emulator.Fault{Call: emulator.CallCredentials, Slow: 1500 * time.Millisecond})},
		{"keychain locked", keychainLocked},
		{"keychain silent", keychainSilent},
	}
	logins = []fault{
		{"login reset", login(emulator.LoginFault{At: emulator.StageStartup, Action: emulator.ActionReset, Times: 3})},
		{"login reset before TLS", login(emulator.LoginFault{At: emulator.StageRequest, Action: emulator.ActionReset, Times: 3})},
		{"login closed", login(emulator.LoginFault{At: emulator.StageReady, Action: emulator.ActionClose, Times: 2})},
		{"compute starting", login(emulator.LoginFault{Code: "57P03", Message: "starting", Times: 3})},
		{"too many connections", login(emulator.LoginFault{Code: "53300", Message: "full", Times: 3})},
		{"token refused", tokenRefused},
		{"compute suspended", suspend},
		{"connections cut", cutAll},
	}
)

// inject puts faults in until ctx ends, which is no error, and takes back what
// nobody has met by then.
func inject(ctx context.Context, w *world, r *report, seed, turn uint64) error {
	var both sync.WaitGroup
	var failed [2]error
	for i, kinds := range [][]fault{renewals, logins} {
		random := rand.New(rand.NewPCG(seed, 10*turn+uint64(i)))
		both.Go(func() { failed[i] = lane(ctx, w, r, kinds, random) })
	}
	both.Wait()
	w.base.Set(func(s *emulator.Settings) { s.Faults, s.LoginFaults = nil, nil })
	return errors.Join(failed[:]...)
}

// lane puts in one after the other, each once before any comes again.
func lane(ctx context.Context, w *world, r *report, kinds []fault, random *rand.Rand) error {
	for {
		for _, i := range random.Perm(len(kinds)) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Duration((0.3 + random.Float64()) * float64(time.Second))):
			}
			limited, cancel := context.WithTimeout(ctx, notMet)
			err := kinds[i].put(limited, w, random)
			late := errors.Is(limited.Err(), context.DeadlineExceeded)
			cancel()
			switch {
			case err == nil:
				r.fault(kinds[i].name)
			case ctx.Err() != nil:
				return nil // its time was too short
			case late:
				r.failed("nobody has met: %s", kinds[i].name)
			default:
				return fmt.Errorf("%s: %w", kinds[i].name, err)
			}
		}
	}
}

// request spoils a call to the workspace.
func request(f emulator.Fault) func(context.Context, *world, *rand.Rand) error {
	return func(ctx context.Context, w *world, _ *rand.Rand) error {
		w.base.Set(func(s *emulator.Settings) { s.Faults = []emulator.Fault{f} })
		return until(ctx, func() bool { return len(w.base.Settings().Faults) == 0 })
	}
}

func answer(call emulator.Call, times, status int, retryAfter string) func(context.Context, *world, *rand.Rand) error {
	return request(emulator.Answer(call, times, status, retryAfter))
}

// login spoils a login.
func login(f emulator.LoginFault) func(context.Context, *world, *rand.Rand) error {
	return func(ctx context.Context, w *world, _ *rand.Rand) error {
		w.base.Set(func(s *emulator.Settings) { s.LoginFaults = []emulator.LoginFault{f} })
		return until(ctx, func() bool { return len(w.base.Settings().LoginFaults) == 0 })
	}
}

// tokenRefused spoils a login with a token that has just come, and lasts until another
// has, and a tenth of its life is over: one that is refused before is for the client to
// hear (internal/supervisor, Refresher.Token), and so is one whose successor is late, as it is behind
// a fault of the workspace.
func tokenRefused(ctx context.Context, w *world, random *rand.Rand) error {
	if err := nextToken(ctx, w); err != nil {
		return err
	}
	if err := login(emulator.LoginFault{Code: "28P01", Message: "refused"})(ctx, w, random); err != nil {
		return err
	}
	return nextToken(ctx, w)
}

// nextToken waits for another token, and until a tenth of its life is over.
func nextToken(ctx context.Context, w *world) error {
	seen, err := w.status()
	if err != nil {
		return err
	}
	if err := until(ctx, func() bool { s, err := w.status(); return err == nil && s.Refreshes > seen.Refreshes }); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(w.base.Settings().DatabaseTokenLife / 10):
		return nil
	}
}

// suspend lasts until a login has woken the compute, in one of its ways.
func suspend(ctx context.Context, w *world, random *rand.Rand) error {
	modes := emulator.WakeModes()
	w.base.SetWake(modes[random.IntN(len(modes))], 700*time.Millisecond)
	if err := w.cutting(func() error { return w.base.Suspend(ctx) }); err != nil {
		return err
	}
	return until(ctx, func() bool { return w.base.State() == emulator.Up })
}

// cutAll ends every session at once, as a restart of the server or an
// administrator does.
func cutAll(ctx context.Context, w *world, _ *rand.Rand) error {
	query := "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where usename = '" + w.base.ClientID + "'"
	for {
		var rows [][]string
		err := w.cutting(func() (err error) { rows, err = w.base.SQL(ctx, query); return err })
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(rows[0][0]); err != nil || n > 0 {
			return err
		}
	}
}

// renewed waits for a new token, which does not need the keychain.
func renewed(ctx context.Context, w *world) error {
	before := w.base.Counters().ByCall[emulator.CallCredentials]
	return until(ctx, func() bool { return w.base.Counters().ByCall[emulator.CallCredentials] > before })
}

func keychainLocked(ctx context.Context, w *world, _ *rand.Rand) (err error) {
	if err := w.desk.Lock(ctx); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(w.desk.Unlock(ctx), err)
	}()
	return renewed(ctx, w)
}

// keychainSilent has it take every question and answer none.
func keychainSilent(ctx context.Context, w *world, _ *rand.Rand) error {
	if err := syscall.Kill(w.keyring, syscall.SIGSTOP); err != nil {
		return err
	}
	defer func() { _ = syscall.Kill(w.keyring, syscall.SIGCONT) }()
	return renewed(ctx, w)
}
