package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second // for a server to come up
	endTime   = 10 * time.Second // and to go
)

// owner is the user that servers run as which refuse root; the zero value is
// ourselves.
type owner struct {
	uid, gid int
	other    bool
}

func serverOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return owner{uid, gid, true}, errors.Join(err1, err2)
}

// run has a command run as the owner.
func (o owner) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is ours
	if o.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid), Groups: []uint32{}}
	}
}

// folder makes one that is the owner's alone.
func (o owner) folder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil || !o.other {
		return err
	}
	return os.Chown(path, o.uid, o.gid)
}

// write makes a file that is the owner's alone.
func (o owner) write(path string, data []byte) error {
	if err := os.WriteFile(path, data, 0o600); err != nil || !o.other {
		return err
	}
	return os.Chown(path, o.uid, o.gid)
}

// daemon is a server that runs beside the measuring.
type daemon struct {
	cmd    *exec.Cmd
	stop   syscall.Signal
	errors bytes.Buffer // its standard error; to be read when it has ended
	ended  chan struct{}
}

// launch starts a server. The kernel ends it when this program is gone, which is
// tied to the thread: the caller has locked itself to it.
func launch(cmd *exec.Cmd, stop syscall.Signal) (*daemon, error) {
	d := &daemon{cmd: cmd, stop: stop, ended: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	cmd.SysProcAttr.Pdeathsig = stop
	cmd.Stderr = &d.errors
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(d.ended)
	}()
	return d, nil
}

// until asks again and again whether the server is there.
func (d *daemon) until(ready func() error) error {
	name := filepath.Base(d.cmd.Path)
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("%s ended: %w\n%s", name, err, d.errors.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s, after %s: %w", name, startTime, err)
		}
	}
}

func (d *daemon) end() {
	_ = d.cmd.Process.Signal(d.stop)
	select {
	case <-d.ended:
	case <-time.After(endTime):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
}

// residentMiB is what a process has in memory now.
func residentMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(status), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(l, "VmRSS: %f kB", &kib); n == 1 {
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", pid)
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
