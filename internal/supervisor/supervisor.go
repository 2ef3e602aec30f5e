// Package supervisor runs in the background of a command or a proxy: it keeps one
// database token fresh, writes the status file and answers health probes. It never
// mints by itself and never ends the process.
package supervisor

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Supervisor.
type Config struct {
	Version, Mode string // for State
	// Extend completes State with what the Supervisor has no access to, such as the
	// command's PID.
	Extend func(*State)
	// Probes is where health probes are answered; nil: nowhere. Start takes it over.
	Probes net.Listener
	// StatusFile is the path of the status file; empty: none.
	StatusFile string
	// OnStatusError is called at the first failure to write it.
	OnStatusError func(error)
}

// Supervisor runs a Refresher and other services in the background.
type Supervisor struct {
	Config
	refresher *Refresher
	startedAt time.Time
	started   atomic.Bool
	failed    chan error
	cancel    context.CancelFunc
	services  sync.WaitGroup // no errgroup: a service that fails must not stop the others
}

// New returns a Supervisor that runs r.
func New(r *Refresher, c Config) *Supervisor {
	return &Supervisor{Config: c, refresher: r, startedAt: time.Now(), failed: make(chan error, 1), cancel: func() {}}
}

// Start starts the refresher, the status file, the probes and other services. Each
// runs until Stop.
func (s *Supervisor) Start(ctx context.Context, services ...func(context.Context) error) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.services.Go(func() { s.refresher.Run(ctx) })
	if s.StatusFile != "" {
		f := &statusFile{path: s.StatusFile, warn: s.OnStatusError}
		s.services.Go(func() { f.run(ctx, s.State) })
	}
	if s.Probes != nil {
		services = append(services, func(ctx context.Context) error { return serveProbes(ctx, s.Probes, probeHandler(s.State)) })
	}
	for _, run := range services {
		s.services.Go(func() {
			if err := run(ctx); err != nil {
				select {
				case s.failed <- err:
				default:
				}
			}
		})
	}
}

// Failed receives the error of the first service that failed.
func (s *Supervisor) Failed() <-chan error { return s.failed }

// SetStarted records that a login has succeeded and the command runs.
func (s *Supervisor) SetStarted() { s.started.Store(true) }

// Stop ends all services and waits for them.
func (s *Supervisor) Stop() {
	s.cancel()
	s.services.Wait()
}

// State returns the current state.
func (s *Supervisor) State() State {
	state := s.refresher.Stats()
	state.Version, state.Mode, state.PID = s.Version, s.Mode, os.Getpid()
	state.StartedAt, state.Started = s.startedAt, s.started.Load()
	s.Extend(&state)
	return state
}
