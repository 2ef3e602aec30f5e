package keychain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// The bus connection of go-keyring is one for a whole process and found through
// its environment. So each case runs this test binary again, as a child that
// carries out a script and says what happened.

const childVariable = "KEYCHAIN_TEST_SCRIPT"

// script is what a child does: its steps in order, or all at once. Timeout bounds
// the calls that may prompt, and Quiet the others; both are a minute where they are
// zero, so that a call which must not wait ends as ErrTimeout if it does.
type script struct {
	Timeout, Quiet time.Duration
	Steps          []step
	AtOnce         bool
}

// step is one operation: get, peek, set, put, delete, or raw, which lets godbus
// find a bus by itself. UntilEOF cancels it at the end of the child's input, and
// Limit, where it is set, after a time.
type step struct {
	Op, Account, Value string
	UntilEOF           bool
	Limit              time.Duration
}

// outcome is what a step gave.
type outcome struct {
	Value, Kind, Text string
	BusVariable       string // of the child's process, afterwards
}

func TestMain(m *testing.M) {
	text := os.Getenv(childVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var s script
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	s.play()
	os.Exit(0)
}

func (s script) play() {
	k := Open(Options{Timeout: cmp.Or(s.Timeout, time.Minute), quiet: cmp.Or(s.Quiet, time.Minute), Environ: os.Getenv})
	outcomes := make([]outcome, len(s.Steps))
	var group sync.WaitGroup
	for i, st := range s.Steps {
		if s.AtOnce {
			group.Go(func() { outcomes[i] = st.play(k) })
		} else {
			outcomes[i] = st.play(k)
		}
	}
	group.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		panic(err)
	}
}

func (st step) play(k *Keychain) (o outcome) {
	var got credential.Secret
	var err error
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if st.Limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, st.Limit)
		defer cancel()
	}
	if st.UntilEOF {
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
	}
	switch st.Op {
	case "get":
		got, err = k.Get(ctx, st.Account)
	case "peek":
		got, err = k.Peek(ctx, st.Account)
	case "set":
		err = k.Set(ctx, st.Account, credential.NewSecret(st.Value))
	case "put":
		err = k.Put(ctx, st.Account, credential.NewSecret(st.Value))
	case "delete":
		err = k.Delete(ctx, st.Account)
	case "raw":
		_, err = dbus.SessionBus()
	}
	o = outcome{Value: got.Reveal(), Kind: kindName(err), BusVariable: os.Getenv(busVariable)}
	if err != nil {
		o.Text = err.Error()
	}
	return o
}

func kindName(err error) string {
	for _, k := range []struct {
		err  error
		name string
	}{
		{nil, "ok"}, {ErrNotFound, "not found"}, {ErrDismissed, "dismissed"}, {ErrLocked, "locked"}, {ErrAbsent, "absent"},
		{ErrTimeout, "timeout"}, {context.Canceled, "cancelled"}, {ErrTooBig, "too big"}, {ErrFailed, "failed"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}

// play runs a script in a child with exactly the environment given.
func play(t *testing.T, env []string, s script) []outcome {
	t.Helper()
	return playUntil(t, env, s, nil)
}

// playUntil is play, and ends the child's input as soon as over returns true.
func playUntil(t *testing.T, env []string, s script, over func() bool) []outcome {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	// The race detector would make each child sleep for a second at its end.
	cmd.Env = append([]string{childVariable + "=" + string(text), "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if over != nil {
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for !over() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = input.Close()
		}()
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the child failed: %v\n%s", err, stderr.String())
	}
	var outcomes []outcome
	if err := json.Unmarshal(out, &outcomes); err != nil || len(outcomes) != len(s.Steps) {
		t.Fatalf("the child said %q: %v", out, err)
	}
	for i, o := range outcomes {
		t.Logf("%-6s %-9s %s", s.Steps[i].Op, o.Kind, o.Text)
		if st := s.Steps[i]; st.Value != "" && strings.Contains(o.Text, st.Value) {
			t.Errorf("the error holds the secret: %s", o.Text)
		}
	}
	return outcomes
}

// kinds lists what the steps gave.
func kinds(outcomes []outcome) string {
	var names []string
	for _, o := range outcomes {
		names = append(names, o.Kind)
	}
	return strings.Join(names, ", ")
}
