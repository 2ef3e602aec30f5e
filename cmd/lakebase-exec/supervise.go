package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/credformat"
	"github.com/lakebase-exec/lakebase-exec/internal/pgenv"
	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/supervisor"
)

const (
	passFileName = "passfile" // in the run directory
	proxyPort    = 5432       // in the name of a socket: libpq's default
	restartGrace = 10 * time.Second
)

// refreshSignal returns the signal of --on-refresh signal:NAME, otherwise 0.
func refreshSignal(conf config.Config) (sig syscall.Signal, err error) {
	if name, ok := strings.CutPrefix(conf.OnRefresh.Value, config.OnRefreshSignal); ok {
		if sig = cli.SignalNumber(name); sig == 0 {
			err = &config.Error{Name: conf.OnRefresh.Source.String(), Problem: "unknown signal " + sanitize.Quote(name),
				Fix: "run kill -l for a list of signals"}
		}
	}
	return sig, err
}

// supervisedJob is a command that runs as a child while its token is refreshed.
type supervisedJob struct {
	*job
	services *cli.Services
	dir      *securefile.RunDir
	env      []string
	child    atomic.Pointer[process.Supervised]
	restarts atomic.Int64
}

// supervise starts the command as a child and refreshes its token until it ends.
func (j *job) supervise(ctx context.Context) (process.Status, error) {
	_, release := cli.HoldSignals() // until everything is cleaned up
	defer release()
	received, stop := cli.HoldSignals() // until the command has been started
	defer stop()
	dir, err := j.runDir()
	if err != nil {
		return process.Status{}, err
	}
	defer func() {
		if err := dir.RemoveAll(); err != nil {
			j.log.Warn("could not remove %s: %v", dir.Path(), err)
		}
	}()
	s := &supervisedJob{job: j, dir: dir}
	s.services = j.NewServices(j.conf, j.log, j.client, j.session, s.deliver)
	defer s.services.Stop()
	if err := s.start(ctx); err != nil {
		return process.Status{}, err
	}
	select {
	case sig := <-received:
		return process.Status{Signal: sig.(syscall.Signal)}, nil
	default:
		return s.run(received, stop)
	}
}

// runDir creates the run directory, and removes those of killed runs.
func (j *job) runDir() (*securefile.RunDir, error) {
	dir, err := j.RuntimeDir(j.conf) // open until the process ends
	if err != nil {
		return nil, err
	}
	if n, err := dir.SweepRunDirs(); err != nil || n > 0 {
		j.log.Note("removed the directories of %d killed runs (%v)", n, err)
	}
	run, err := dir.NewRunDir()
	if err != nil {
		return nil, cli.NoRuntimeDir(err)
	}
	return run, nil
}

// start makes the password file or the proxy's listener, and starts the services.
func (s *supervisedJob) start(ctx context.Context) (err error) {
	var login pgenv.Values
	if s.conf.Refresh.Value == config.RefreshPassfile {
		login.PassFile, err = filepath.Join(s.dir.Path(), passFileName), s.writePassFile(s.session.Token)
	} else {
		login, err = s.startProxy()
	}
	if err != nil {
		return err
	}
	s.env = s.environ(login)
	return s.services.Start(ctx, s.extendState)
}

func (s *supervisedJob) extendState(state *supervisor.State) {
	if c := s.child.Load(); c != nil {
		state.ChildPID = c.PID()
	}
	state.Restarts = int(s.restarts.Load())
}

// writePassFile atomically replaces the password file.
func (s *supervisedJob) writePassFile(t credential.Token) error {
	target := s.session.Target
	format, _ := credformat.Lookup("pgpass")
	out, err := format.Render(credformat.Answer{Host: target.Host, Port: target.Port, User: target.User, Password: t.Value}, nil)
	if err != nil {
		return err
	}
	return s.dir.WriteFile(passFileName, out.Stdout)
}

// run starts the command and waits for its end.
func (s *supervisedJob) run(received <-chan os.Signal, stop func()) (process.Status, error) {
	c, err := process.Supervise(s.cmd, s.env, stop)
	if err != nil {
		return process.Status{}, err
	}
	s.child.Store(c)
	s.services.SetStarted()
	forwardReceived(c, received)
	return c.Wait()
}

// forwardReceived sends what was received before Supervise caught signals: the
// command did not exist then, so the terminal cannot have sent it a signal, too.
func forwardReceived(c *process.Supervised, received <-chan os.Signal) {
	for {
		select {
		case sig := <-received:
			_ = c.Signal(sig.(syscall.Signal))
		default:
			return
		}
	}
}

// deliver passes a new token to the command, and does what --on-refresh says.
func (s *supervisedJob) deliver(ctx context.Context, t credential.Token) (err error) {
	if s.conf.Refresh.Value == config.RefreshPassfile {
		if err := s.writePassFile(t); err != nil {
			return err
		}
	}
	s.log.Note("token refreshed; %s", cli.ValidUntil(t.ExpiresAt))
	switch c := s.child.Load(); {
	case c == nil:
	case s.signal != 0:
		err = c.Signal(s.signal)
	case s.conf.OnRefresh.Value == config.OnRefreshRestart:
		if err = c.Restart(ctx, s.env, restartGrace); err == nil {
			s.restarts.Add(1)
		}
	}
	if err != nil && !errors.Is(err, process.ErrEnded) {
		s.log.Warn("--on-refresh %s: %v", s.conf.OnRefresh.Value, err)
	}
	return nil
}

// startProxy adds the proxy to the services, and returns how the command logs in to it.
func (s *supervisedJob) startProxy() (login pgenv.Values, err error) {
	ln, err := s.listen()
	if err != nil {
		return login, err
	}
	login.Host, login.Port, login.Password = filepath.Dir(ln.Addr().String()), proxyPort, credential.NewSecret(rand.Text())
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		login.Host, login.Port = a.IP.String(), a.Port
	}
	s.services.UseProxy(ln, s.session.Target, login.Password, false)
	return login, nil
}

// listen opens the proxy's listener: by default a socket in the run directory, else loopback.
func (s *supervisedJob) listen() (net.Listener, error) {
	at := s.conf.Listen
	if dir := s.dir.Path(); at.Value == "" && runtime.GOOS != "windows" && !s.needsTCP() && config.IsSocketDir(dir) {
		ln, err := pgproxy.ListenUnix(dir, proxyPort)
		if !errors.Is(err, pgproxy.ErrPathTooLong) {
			return ln, err
		}
	}
	ln, err := cli.Listen(cmp.Or(at.Value, "127.0.0.1:0"), proxyPort)
	if err != nil {
		return nil, cli.ListenError(at.Source, err)
	}
	return ln, nil
}

// needsTCP reports whether a template contains a URL or an address: no form of it that
// names a socket works with all clients.
func (s *supervisedJob) needsTCP() bool {
	for _, v := range s.vars {
		if v.template.Uses("url", "url_nopassword", "jdbc_url", "node_url") != "" || v.template.HostInAddress() {
			return true
		}
	}
	return false
}
