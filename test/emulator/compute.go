package emulator

import (
	"context"
	"errors"
	"sync"
	"time"
)

// State is what the compute is doing.
type State string

// The states. Between Suspended and Up there is always Waking.
const (
	Up        State = "up"
	Waking    State = "waking"
	Suspended State = "suspended"
)

// compute is the Postgres that sleeps and wakes. Its server really stops and really
// starts; a wake ends when the server accepts connections and WakeTime has passed.
type compute struct {
	server   *server
	gateway  *gateway
	settings *settingsStore
	ctx      context.Context // ends with the emulator

	ops sync.Mutex // held during suspend, resume and close

	mu      sync.Mutex
	state   State
	wake    *wake // the last one
	upAt    time.Time
	wokenAt time.Time
}

// wake is one wake-up.
type wake struct {
	mode   WakeMode
	cancel context.CancelFunc
	done   chan struct{} // closed when the wake has ended, well or not
}

// status returns the state, and what a login sees of it: of a sleeping compute the
// mode that its next wake will have. It wakes nothing.
func (c *compute) status() (State, WakeMode) {
	mode := c.settings.get().Wake
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Waking {
		mode = c.wake.mode
	}
	return c.state, mode
}

// times returns when the last wake was triggered and when the compute was up; zero
// if that has not happened since the last suspend.
func (c *compute) times() (woken, up time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wokenAt, c.upAt
}

// requestWake wakes a sleeping compute for a login. It returns the wake that the
// login has to wait for, or nil if the compute is up. When it returns in mode
// Refused, the listening port is closed.
func (c *compute) requestWake() *wake {
	s := c.settings.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Suspended && c.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(c.ctx)
		w := &wake{mode: s.Wake, cancel: cancel, done: make(chan struct{})}
		c.state, c.wake, c.wokenAt, c.upAt = Waking, w, time.Now(), time.Time{}
		c.gateway.record.count(func(n *Counters) { n.Wakes++ })
		if w.mode == Refused {
			c.gateway.closeListener()
		}
		go func() {
			defer cancel()
			c.run(ctx, w, s.WakeTime)
		}()
	}
	if c.state == Up {
		return nil
	}
	return c.wake
}

// run brings the compute up, or back to sleep if it cannot.
func (c *compute) run(ctx context.Context, w *wake, takes time.Duration) {
	defer close(w.done)
	var over <-chan time.Time // never, with Never
	if takes >= 0 {
		over = time.After(takes)
	}
	err := c.server.start(ctx)
	if err == nil {
		select {
		case <-over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock() // held over listen, so that a client that comes in at once finds the compute up
	defer c.mu.Unlock()
	up := time.Now()
	if w.mode == Refused && c.ctx.Err() == nil {
		err = errors.Join(err, c.gateway.listen(c.ctx))
	}
	if err != nil {
		c.state = Suspended
		return
	}
	c.state, c.upAt = Up, up
}

// cancelWake ends a wake in progress and waits for its end.
func (c *compute) cancelWake() {
	c.mu.Lock()
	w := c.wake
	c.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.done
	}
}

// suspend stops the server and drops every client, of a compute that is waking too.
func (c *compute) suspend(ctx context.Context) error {
	c.ops.Lock()
	defer c.ops.Unlock()
	c.cancelWake()
	err := c.server.stop(ctx)
	c.gateway.drop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Up {
		c.state = Suspended
	}
	c.upAt, c.wokenAt = time.Time{}, time.Time{}
	return err
}

// resume starts the server without a login and without WakeTime. It does not end a wake
// in progress: it only waits until the server accepts connections.
func (c *compute) resume(ctx context.Context) error {
	c.ops.Lock()
	defer c.ops.Unlock()
	if err := c.server.start(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Suspended {
		c.state, c.upAt = Up, time.Now()
	}
	return nil
}

// close stops the server for good.
func (c *compute) close() error {
	c.ops.Lock()
	defer c.ops.Unlock()
	c.cancelWake()
	err := c.server.stop(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = Suspended
	return err
}
