//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
)

// secretPrompt asks for a line on a terminal without echo, which is restored whenever a
// shell could have the terminal: while we are stopped, and after each end.
type secretPrompt struct {
	fd   int
	out  io.Writer
	text string

	mu     sync.Mutex
	before *unix.Termios // the settings before; nil while the terminal echoes
	ended  bool          // nothing is asked any more
}

// promptSecret prompts, and reads the answer.
func promptSecret(in *os.File, out io.Writer, text string) ([]byte, error) {
	p := &secretPrompt{fd: int(in.Fd()), out: out, text: text}
	stop := cli.RestoreOnSignal(p.restore, func() { _ = p.ask() })
	defer stop()
	defer func() {
		p.restore()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = true
	}()
	if err := p.ask(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret+1)).ReadBytes('\n')
	if errors.Is(err, io.EOF) { // Ctrl-D
		err = nil
	}
	return line, err
}

// ask turns the echo off, then shows the prompt, unless a shell has the terminal or the
// prompt is shown: RestoreOnSignal resumes twice, after the stop and on SIGCONT.
func (p *secretPrompt) ask() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || !p.inForeground() {
		return nil
	}
	now, err := unix.IoctlGetTermios(p.fd, getTermios)
	if err != nil {
		return err
	}
	asking := *now
	asking.Lflag = asking.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	asking.Iflag |= unix.ICRNL
	switch {
	case p.before == nil:
		p.before = now
	case *now == asking: // no shell has changed it
		return nil
	}
	if err := unix.IoctlSetTermios(p.fd, setTermios, &asking); err != nil {
		return err
	}
	_, err = io.WriteString(p.out, p.text)
	return err
}

// restore restores the terminal. What has been typed is discarded: a shell would take it
// for a command, and show it.
func (p *secretPrompt) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before == nil || !p.inForeground() { // then the shell has its own settings, and this would stop us
		return
	}
	_ = unix.IoctlSetTermios(p.fd, flushAndSetTermios, p.before)
	p.before = nil
}

// inForeground reports whether no shell has the terminal, which has no job control for
// us if it is another session's.
func (p *secretPrompt) inForeground() bool {
	group, err := unix.IoctlGetInt(p.fd, unix.TIOCGPGRP)
	return err != nil || group == syscall.Getpgrp()
}

// detach starts the browser in a new session, which no signal of our terminal reaches.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
