package testkeyring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// processes starts children that die with this process. The kernel ties the
// signal to the thread that forked (prctl(2), PR_SET_PDEATHSIG), so that one
// goroutine keeps one thread for as long as they live.
type processes struct {
	fork chan func()
	mu   sync.Mutex
	all  []*process
	end  sync.Once
}

// process is one child, with its output for error messages.
type process struct {
	cmd    *exec.Cmd
	output *head
	gone   chan struct{} // closed when it has been waited for
}

func newProcesses() *processes {
	p := &processes{fork: make(chan func())}
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for f := range p.fork {
			f()
		}
	}()
	return p
}

// start runs a program of a Debian package.
func (p *processes) start(debian string, cmd *exec.Cmd) (*process, error) {
	if cmd.Err != nil {
		return nil, fmt.Errorf("%w (Debian package %s)", cmd.Err, debian)
	}
	child := &process{cmd: cmd, output: &head{}, gone: make(chan struct{})}
	cmd.Stderr = child.output
	cmd.WaitDelay = time.Second
	// A group of its own: Ctrl-C is for the command under test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	failed := make(chan error)
	p.fork <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("%w (Debian package %s)", err, debian)
	}
	p.mu.Lock()
	p.all = append(p.all, child)
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // killed, or its exit is noticed by who waits for its service
		close(child.gone)
	}()
	return child, nil
}

// close kills all and waits for each, the youngest first.
func (p *processes) close() error {
	p.mu.Lock()
	all := p.all
	p.all = nil
	p.mu.Unlock()
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		errs = append(errs, all[i].kill())
	}
	p.end.Do(func() { close(p.fork) })
	return errors.Join(errs...)
}

func (c *process) kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.gone:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%s does not end", c.cmd.Path)
	}
}

// head keeps the first 4 KiB of a child's output.
type head struct {
	mu  sync.Mutex
	buf []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf = append(h.buf, b[:min(4096-len(h.buf), len(b))]...)
	return len(b), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.buf)
}
