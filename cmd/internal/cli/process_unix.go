//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

var (
	ending  = make(chan os.Signal, 1) // receives the signals that end the process
	held    atomic.Bool               // HoldSignals has been called
	cleanUp atomic.Pointer[func()]    // called before a signal ends the process, unless nil
)

// cleanUpTimeout bounds the cleanup: a terminal whose output is stopped (Ctrl-S) blocks it.
const cleanUpTimeout = time.Second

// EndBySignal makes the signals that end processes end this one as they end others. The
// Go runtime does so for HUP, INT and TERM, but on QUIT it would dump all stacks, in
// which arguments and so secrets may be, and exit with 2. As PID 1, which the kernel
// lets no signal end, it would exit with 2 on all four; the exit code is 128+n instead.
func EndBySignal() {
	notify(ending, syscall.SIGQUIT)
	if os.Getpid() == 1 {
		notify(ending, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	}
	go func() {
		sig := <-ending
		if f := cleanUp.Load(); f != nil {
			done := make(chan struct{})
			go func() { (*f)(); close(done) }()
			select {
			case <-done:
			case <-time.After(cleanUpTimeout):
			}
		}
		os.Exit(process.RaiseSignal(sig.(syscall.Signal)))
	}()
}

// HoldSignals catches the signals that would end this process, until release.
func HoldSignals() (caught <-chan os.Signal, release func()) {
	held.Store(true)
	c := make(chan os.Signal, 8)
	notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Stop(ending)
	return c, func() { signal.Stop(c) }
}

// notify relays the signals that are not ignored.
func notify(c chan<- os.Signal, signals ...os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
}

// SignalNumber returns the signal of a name without SIG; 0 if there is none.
func SignalNumber(name string) syscall.Signal { return unix.SignalNum("SIG" + name) }

// cleanUpOnSignal calls f before a signal ends the process, until stop. There is one f at a time.
func cleanUpOnSignal(f func()) (stop func()) {
	cleanUp.Store(&f)
	if !held.Load() { // else their holder ends the process
		notify(ending, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGABRT)
	}
	return func() { cleanUp.Store(nil) }
}

// RestoreOnSignal calls restore before a signal ends the process, until stop, and before
// one stops it; it calls resume when the process is continued. Both may be called after
// stop: once SIGTSTP was caught, only we can stop the process.
func RestoreOnSignal(restore, resume func()) (stop func()) {
	stopCleanUp := cleanUpOnSignal(restore)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE) // a write to a closed pipe must not end us
	jobs := make(chan os.Signal, 8)
	signal.Notify(jobs, syscall.SIGCONT)
	if !process.IsIgnored(syscall.SIGTSTP) {
		signal.Notify(jobs, syscall.SIGTSTP)
	}
	go func() {
		for sig := range jobs {
			if sig == syscall.SIGTSTP {
				restore()
				process.StopByTSTP()
			}
			resume()
		}
	}()
	return func() {
		stopCleanUp()
		signal.Stop(pipe)
	}
}

// pipeVariable names the descriptor of a pipe with secrets that were in the
// environment. It passes between two executions of one process.
const pipeVariable = "LAKEBASE_SECRET_FD"

// maxPiped bounds the secrets in the pipe, in bytes: each system's pipe holds as much
// before it is read.
const maxPiped = 16 << 10

// ReexecWithoutSecrets executes the program again without the secrets in its
// environment, which can be read while a process runs: on macOS by every
// program of the same user (ps eww), on Linux by root. The secrets go over a pipe. It
// returns if there are none, or with an error.
func (e *Environment) ReexecWithoutSecrets() error {
	secrets, rest := pgenv.SplitSecrets(e.Environ)
	if len(secrets) == 0 || e.reexecuted {
		return nil
	}
	text := strings.Join(secrets, "\x00")
	if len(text) > maxPiped {
		return errors.New("they are longer than 16 KiB")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	_, writeErr := io.WriteString(w, text)
	_, flagErr := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0)
	if err := errors.Join(writeErr, w.Close(), flagErr); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(rest, fmt.Sprintf("%s=%d", pipeVariable, r.Fd())))
}

// readPipedSecrets returns environ with the secrets of the pipe that it names. What is
// not a pipe, or one that still has a writer and could block for ever, is not read.
func readPipedSecrets(environ []string) (all []string, piped bool) {
	isPipe := func(entry string) bool { return strings.HasPrefix(entry, pipeVariable+"=") }
	i := slices.IndexFunc(environ, isPipe)
	if i < 0 {
		return environ, false
	}
	fd, err := strconv.Atoi(strings.TrimPrefix(environ[i], pipeVariable+"="))
	environ = slices.DeleteFunc(slices.Clone(environ), isPipe)
	if err != nil || fd < 3 {
		return environ, false
	}
	f := os.NewFile(uintptr(fd), pipeVariable)
	defer f.Close()
	info, err := f.Stat()
	state := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, pollErr := unix.Poll(state, 0)
	if err != nil || pollErr != nil || info.Mode().Type() != fs.ModeNamedPipe || state[0].Revents&unix.POLLHUP == 0 {
		return environ, false
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPiped+1))
	if err != nil || len(text) == 0 || len(text) > maxPiped {
		return environ, false
	}
	return append(environ, strings.Split(string(text), "\x00")...), true
}

// isClosed reports whether a standard file was closed when the program was started. Go's
// runtime has then opened /dev/null for reading and writing in its place; on Linux, who
// wants to discard the output opens it for writing only.
func isClosed(f *os.File) bool {
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	flags, flagsErr := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return runtime.GOOS == "linux" && errors.Join(err, nullErr, flagsErr) == nil &&
		os.SameFile(info, null) && flags&unix.O_ACCMODE == unix.O_RDWR
}
