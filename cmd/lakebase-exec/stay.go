package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// diedError says that we are to die of a signal, as the command did or as we were
// told to before it was started.
type diedError struct{ signal syscall.Signal }

func (e *diedError) Error() string { return e.signal.String() }

// passFileName is the file in the run's folder.
const passFileName = "passfile"

// restartGrace is how long --on-refresh restart gives the command to end.
const restartGrace = 10 * time.Second

// refreshSignal is the signal of --on-refresh; 0 is none.
func refreshSignal(conf config.Config) (syscall.Signal, error) {
	name, ok := strings.CutPrefix(conf.OnRefresh.Value, config.OnRefreshSignal)
	if !ok {
		return 0, nil
	}
	sig := cli.SignalNumber(name)
	if sig == 0 {
		return 0, &config.Error{Name: conf.OnRefresh.Source.String(), Problem: "there is no signal " + sanitize.Quote(name) + " here", Fix: "kill -l lists those that there are"}
	}
	return sig, nil
}

// stay starts the command as a child and keeps its way in open until it ends.
func (j *job) stay(ctx context.Context) (int, error) {
	_, release := cli.HoldSignals() // until all is tidied up
	defer release()
	came, stop := cli.HoldSignals() // until the command has been started
	defer stop()
	folder, err := j.folder()
	if err != nil {
		return 0, err
	}
	defer func() {
		if err := folder.RemoveAll(); err != nil {
			j.say.Warn("%s could not be removed: %v", folder.Path(), err)
		}
	}()
	s := &supervision{job: j, folder: folder}
	s.signal, _ = refreshSignal(j.conf)
	s.Stay = j.NewStay(j.conf, j.say, j.client, j.session, s.deliver)
	s.Child = func() int {
		if c := s.child.Load(); c != nil {
			return c.PID()
		}
		return 0
	}
	s.Restarts = func() int { return int(s.restarts.Load()) }
	defer s.Stop()
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	select {
	case sig := <-came:
		if n, ok := sig.(syscall.Signal); ok {
			return 0, &diedError{n}
		}
		return 0, errors.New("interrupted")
	default:
	}
	return s.run(ctx, came, stop)
}

// folder makes the run's own folder, and sweeps those of killed runs.
func (j *job) folder() (*securefile.RunDir, error) {
	dir, err := j.RuntimeDir(j.conf)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if n, err := dir.SweepRunDirs(); err != nil || n > 0 {
		j.say.Note("swept what %d killed runs had left (%v)", n, err)
	}
	return dir.NewRunDir()
}

// supervision is one command under way.
type supervision struct {
	*job
	*cli.Stay
	folder   *securefile.RunDir
	signal   syscall.Signal
	env      []string
	child    atomic.Pointer[process.Supervised]
	restarts atomic.Int64
}

// open makes the way in, and lets everything run that the command will need.
func (s *supervision) open(ctx context.Context) (err error) {
	if s.conf.Refresh.Value == config.RefreshPassfile {
		if err := s.writePassFile(s.session.Token); err != nil {
			return err
		}
		if s.env, err = s.environ(&way{passFile: filepath.Join(s.folder.Path(), passFileName)}); err != nil {
			return err
		}
		return s.Start(ctx)
	}
	ln, w, err := s.listen()
	if err != nil {
		return err
	}
	w.password = credential.NewSecret(rand.Text())
	s.UseProxy(s.session.Target, w.password, false)
	if s.env, err = s.environ(w); err == nil {
		err = s.Start(ctx, ln)
	}
	if err != nil {
		_ = ln.Close()
	}
	return err
}

// writePassFile replaces the file at once: readers see the old token or the new.
func (s *supervision) writePassFile(t credential.Token) error {
	target := s.session.Target
	format, _ := credformat.Lookup("pgpass")
	out, err := format.Render(credformat.Answer{Host: target.Host, Port: target.Port, User: target.User, Password: t.Value}, credformat.Context{})
	if err != nil {
		return err
	}
	return s.folder.WriteFile(passFileName, out.Stdout)
}

// run starts the command and waits for its end.
func (s *supervision) run(ctx context.Context, came <-chan os.Signal, stop func()) (int, error) {
	c, err := process.Supervise(ctx, s.cmd, s.env, process.Options{Stdio: s.Stdio(), PID1: os.Getpid() == 1, SignalsCaught: stop})
	if err != nil {
		return 0, err
	}
	s.child.Store(c)
	s.Started()
	resend(c, came)
	for over := false; !over; {
		select {
		case err := <-s.Lost():
			message, hint := cli.Describe(err, &s.conf)
			s.say.Warn("new connections will fail: %s", message)
			s.say.Hint("%s", hint)
		case <-c.Done():
			over = true
		}
	}
	status, err := c.Wait()
	switch {
	case err != nil:
		return 0, err
	case status.Signal != 0:
		return 0, &diedError{status.Signal}
	}
	return status.ExitCode, nil
}

// resend sends what came before Supervise caught signals itself: the command did
// not exist then, so that nothing that the terminal sent has reached it.
func resend(c *process.Supervised, came <-chan os.Signal) {
	for {
		select {
		case sig := <-came:
			_ = c.Signal(sig)
		default:
			return
		}
	}
}

// deliver hands a new token over, and does what --on-refresh says.
func (s *supervision) deliver(ctx context.Context, t credential.Token) error {
	if s.conf.Refresh.Value == config.RefreshPassfile {
		if err := s.writePassFile(t); err != nil {
			return err
		}
	}
	s.say.Note("the token is renewed, and good until %s", t.ExpiresAt.UTC().Format(time.RFC3339))
	c := s.child.Load()
	if c == nil {
		return nil
	}
	switch {
	case s.signal != 0:
		if err := c.Signal(s.signal); err != nil && !errors.Is(err, process.ErrEnded) {
			s.say.Warn("--on-refresh %s: %v", s.conf.OnRefresh.Value, err)
		}
	case s.conf.OnRefresh.Value == config.OnRefreshRestart:
		err := c.Restart(ctx, s.env, restartGrace)
		switch {
		case err == nil:
			s.restarts.Add(1)
		case !errors.Is(err, process.ErrEnded) && !errors.Is(err, process.ErrRestartCanceled):
			s.say.Warn("--on-refresh restart: %v", err)
		}
	}
	return nil
}

// failed names the option that a listener was asked for with.
func failed(conf config.Config, err error) error {
	return &config.Error{Name: conf.Listen.Source.String(), Problem: fmt.Sprint(err)}
}
