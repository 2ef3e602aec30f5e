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

// listener is the gateway as the compute sees it: the listening port that mode
// Refused closes, and the clients that a suspend drops.
type listener interface {
	open(ctx context.Context) error
	shut()
	drop()
}

// compute is the Postgres that sleeps and wakes. Its server really stops and
// really starts; a wake is over when the server accepts and the time that the
// switch asks for has passed.
type compute struct {
	server   *server
	listener listener
	settings *settingsStore
	ctx      context.Context // ends with the emulator
	idle     time.Duration   // 0: never suspends by itself

	turn sync.Mutex // held by whoever suspends, wakes at once or closes

	mu      sync.Mutex
	state   State
	mode    WakeMode      // of the wake under way
	settled chan struct{} // closed when the wake under way has ended
	cancel  context.CancelFunc
	upAt    time.Time
	wokenAt time.Time
	joined  int         // clients that use the server
	doze    *time.Timer // runs while there are none
}

func (c *compute) now() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// times returns when the last wake was triggered and when the compute was up;
// zero where that has not happened since the last suspend.
func (c *compute) times() (woken, up time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wokenAt, c.upAt
}

// admission is what the compute says to a login.
type admission struct {
	state   State
	mode    WakeMode
	settled <-chan struct{} // closed when a wake has ended, well or not
}

// look tells the state without waking anything; a sleeping compute shows the
// mode that its next wake will have.
func (c *compute) look() admission {
	mode := c.settings.get().wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Waking {
		mode = c.mode
	}
	return admission{c.state, mode, c.settled}
}

// knock is a login: it triggers the wake of a sleeping compute. When it returns
// in mode Refused, the listening port is closed.
func (c *compute) knock() admission {
	s := c.settings.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Suspended && c.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(c.ctx)
		c.state, c.mode, c.cancel = Waking, s.wake(), cancel
		c.settled = make(chan struct{})
		c.wokenAt, c.upAt = time.Now(), time.Time{}
		if c.mode == Refused {
			c.listener.shut()
		}
		go func(settled chan struct{}, mode WakeMode) {
			defer cancel()
			c.wake(ctx, settled, mode, s.WakeTime)
		}(c.settled, c.mode)
	}
	return admission{c.state, c.mode, c.settled}
}

// wake brings the compute up, or back to sleep when it cannot.
func (c *compute) wake(ctx context.Context, settled chan struct{}, mode WakeMode, takes time.Duration) {
	defer close(settled)
	timer := time.NewTimer(max(takes, 0))
	defer timer.Stop()
	err := c.server.start(ctx)
	if err == nil && takes == Never {
		<-ctx.Done()
	}
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err == nil {
		err = ctx.Err()
	}
	c.mu.Lock() // held over open, so that who comes in at once finds the compute up
	defer c.mu.Unlock()
	up := time.Now()
	if mode == Refused && c.ctx.Err() == nil {
		err = errors.Join(err, c.listener.open(c.ctx))
	}
	if err != nil {
		c.state = Suspended
		return
	}
	c.state, c.upAt = Up, up
	c.settle()
}

// enter and leave count the clients that are joined to the server.
func (c *compute) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined++
	c.settle()
}

func (c *compute) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined--
	c.settle()
}

// settle starts or stops the idle timer; mu is held.
func (c *compute) settle() {
	if c.doze != nil {
		c.doze.Stop()
		c.doze = nil
	}
	if c.idle > 0 && c.state == Up && c.joined == 0 && c.ctx.Err() == nil {
		c.doze = time.AfterFunc(c.idle, c.nap)
	}
}

// nap suspends unless a client came in the meantime.
func (c *compute) nap() {
	c.mu.Lock()
	quiet := c.state == Up && c.joined == 0
	c.mu.Unlock()
	if quiet {
		_ = c.suspend(c.ctx)
	}
}

// halt ends a wake under way and waits for it.
func (c *compute) halt() {
	c.mu.Lock()
	cancel, settled := c.cancel, c.settled
	c.mu.Unlock()
	if cancel != nil {
		cancel()
		<-settled
	}
}

// suspend stops the server and drops every client. A compute that is waking is
// stopped too.
func (c *compute) suspend(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.halt()
	err := c.server.stop(ctx)
	c.listener.drop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Up {
		c.state = Suspended
	}
	c.upAt, c.wokenAt = time.Time{}, time.Time{}
	return err
}

// rouse brings the server up without a login and without the switch's delay; it
// leaves a wake under way alone, and only waits until the server accepts.
func (c *compute) rouse(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.server.start(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Suspended {
		c.state, c.upAt = Up, time.Now()
		c.settle()
	}
	return nil
}

// close stops the server for good.
func (c *compute) close() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.halt()
	err := c.server.stop(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = Suspended
	c.settle()
	return err
}
