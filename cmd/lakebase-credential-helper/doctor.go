package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

func doctorCommand(c *call) *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Category: categorySupport, Usage: "check each step of the connection and suggest fixes",
		UsageText: program + " doctor [options]",
		Description: `Checks every step from the configuration to a login, which wakes the compute, and
prints one line for each: ok, warning, failed, or not tried with the step that it
needs. A line below a warning or a failure says what to do. It uses no cache, stores
nothing and prints no secret. The exit code is that of the first failed step.

Examples:
  lakebase-credential-helper doctor -p prod
  lakebase-credential-helper doctor -p prod --json`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}},
			[]config.Category{config.CategoryCommand, config.CategoryService}, "wait", "min-ttl", "cache"),
		Action: c.commandAction(doctor),
	}
}

// The steps that are looked at here; the others are the broker's.
const (
	partConfiguration broker.Part = "configuration"
	partWay           broker.Part = "way in"
	partTrust         broker.Part = "trust"
	partRuntime       broker.Part = "runtime folder"
	partCache         broker.Part = "cache"
	partKeychain      broker.Part = "keychain"
	partChild         broker.Part = "child"
	partLibpq         broker.Part = "libpq"
)

// step is what is said of one step.
type step struct {
	Name   broker.Part       `json:"name"`
	Status broker.Status     `json:"status"`
	Text   string            `json:"text"`
	Cure   string            `json:"cure,omitempty"`
	Needs  broker.Part       `json:"needs,omitempty"`
	Facts  map[string]string `json:"facts,omitempty"`

	err error // of one that failed
}

// failed is a step that has an error, in its usual words.
func failed(name broker.Part, err error, conf *config.Config) step {
	s := step{Name: name, Status: broker.StatusFailed, err: err}
	s.Text, s.Cure = explain(err, conf)
	return s
}

func notTried(name, needs broker.Part) step {
	return step{Name: name, Status: broker.StatusNotTried, Needs: needs}
}

// examination is one run of doctor.
type examination struct {
	*call
	blocked map[broker.Part]broker.Part
	seen    broker.Seen
	steps   []step
	proxied atomic.Value // the proxy's address, a string, where one is used
}

func doctor(ctx context.Context, c *call) error {
	x := &examination{call: c, blocked: map[broker.Part]broker.Part{}}
	x.say = cli.NewLogger(program, c.Stderr, config.LogNormal, false)
	x.configuration()
	x.say = c.Voice(c.conf)
	progress := cli.StartProgress(c.say, cli.Terminal(c.Stderr))
	x.way()
	x.trust()
	x.runtime()
	x.road(ctx, progress)
	x.child()
	x.libpq(ctx)
	progress.Stop()
	if err := x.write(); err != nil {
		return err
	}
	for _, s := range x.steps {
		if s.Status == broker.StatusFailed {
			// It has been told, with its cure; what is left to tell is the exit code.
			c.say = cli.NewLogger(program, io.Discard, config.LogNormal, false)
			return s.err
		}
	}
	return nil
}

// proxy is the proxy's address; empty: none was used.
func (x *examination) proxy() string {
	address, _ := x.proxied.Load().(string)
	return address
}

func (x *examination) add(s step) { x.steps = append(x.steps, s) }

// road has the broker walk, with the keychain looked at before.
func (x *examination) road(ctx context.Context, progress *cli.Progress) {
	chain := x.Keychain(x.conf)
	stores := x.openStores(chain)
	state := x.keychainState(ctx, chain, stores)
	checkup, err := x.checkup(progress, chain)
	if err != nil { // what it is made of was looked at: see trust and runtime
		x.add(failed(broker.PartWorkspace, err, x.described()))
		return
	}
	findings, seen := checkup.Walk(ctx, x.blocked)
	x.seen = seen
	if x.blocked[broker.PartSecret] == "" {
		x.conf = seen.Config
	}
	// A keychain that is in the way is one step, and what it holds another.
	if f := &findings[0]; f.Status == broker.StatusFailed && inTheWay(f.Err) {
		state = failed(partKeychain, f.Err, x.described())
		*f = broker.Finding{Part: f.Part, Status: broker.StatusNotTried, Needs: partKeychain}
	}
	x.add(state)
	for _, f := range findings {
		s := x.told(f)
		if f.Part == broker.PartSecret && f.Status == broker.StatusOK {
			x.life(ctx, &s, stores, chain)
		}
		x.add(s)
	}
}

// inTheWay says whether a keychain could not be asked what it holds.
func inTheWay(err error) bool {
	var e *keychain.Error
	return errors.As(err, &e) && !e.Missing()
}
