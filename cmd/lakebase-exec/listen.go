package main

import (
	"errors"
	"net"
	"path/filepath"
	"runtime"

	"github.com/lakebase-exec/lakebase-exec/internal/pgproxy"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// proxyPort is the port in the name of a socket: libpq's default, so that a
// client that looks for none finds it.
const proxyPort = 5432

// anyPort is where a listener goes that nobody named.
const anyPort = "127.0.0.1:0"

// listen opens the door: a socket in the run's folder where it can be, loopback
// where a socket cannot be named.
func (s *supervision) listen() (net.Listener, *way, error) {
	switch at := s.conf.Listen.Value; {
	case filepath.IsAbs(at):
		dir, err := securefile.OpenDir([]string{at})
		if err != nil {
			return nil, nil, failed(s.conf, err)
		}
		defer dir.Close()
		return s.socket(dir.Path())
	case at != "":
		ln, w, err := loopback(at)
		if err != nil {
			return nil, nil, failed(s.conf, err)
		}
		return ln, w, nil
	case runtime.GOOS == "windows" || s.needsAddress():
		return loopback(anyPort)
	}
	ln, w, err := s.socket(s.folder.Path())
	var long *pgproxy.PathTooLongError
	if errors.As(err, &long) {
		s.say.Note("%v; listening on loopback", long)
		return loopback(anyPort)
	}
	return ln, w, err
}

// needsAddress says whether a template asks for a URL: no form of it that names a
// socket is understood by all clients.
func (s *supervision) needsAddress() bool {
	for _, v := range s.vars {
		if v.template.Uses("url", "url_nopassword", "jdbc_url") != "" {
			return true
		}
	}
	return false
}

func (s *supervision) socket(dir string) (net.Listener, *way, error) {
	ln, err := pgproxy.ListenUnix(dir, proxyPort)
	return ln, &way{host: dir, port: proxyPort}, err
}

func loopback(addr string) (net.Listener, *way, error) {
	ln, err := pgproxy.ListenTCP(addr, pgproxy.Loopback)
	if err != nil {
		return nil, nil, err
	}
	a := ln.Addr().(*net.TCPAddr)
	return ln, &way{host: a.IP.String(), port: a.Port}, nil
}
