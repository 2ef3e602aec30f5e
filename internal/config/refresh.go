package config

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// refresh reads what only a command that outlives its token needs.
func (r *resolver) refresh() {
	c := &r.conf
	c.Refresh = get(r, "refresh", RefreshOff, words(RefreshOff, RefreshPassfile, RefreshProxy))
	c.OnRefresh = get(r, "on-refresh", OnRefreshNone, onRefresh)
	c.Listen = get(r, "listen", "", r.listen)
	c.StatusFile = get(r, "status-file", "", r.path)
	c.HealthListen = get(r, "health-listen", "", listenAddress)
	if r.in.Listens {
		return
	}
	for name, given := range map[string]bool{"--on-refresh": c.OnRefresh.Given(), "--status-file": c.StatusFile.Given(), "--health-listen": c.HealthListen.Given()} {
		if given && c.Refresh.Value == RefreshOff {
			r.fail(&Error{Name: name, Problem: "needs --refresh passfile or --refresh proxy: without one, nothing of us stays"})
		}
	}
	if c.Listen.Given() && c.Refresh.Value != RefreshProxy {
		r.fail(&Error{Name: "--listen", Problem: "needs --refresh proxy"})
	}
}

func onRefresh(s string, from Source) (string, error) {
	if s == OnRefreshNone || s == OnRefreshRestart {
		return s, nil
	}
	name, ok := strings.CutPrefix(s, OnRefreshSignal)
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") != "" {
		return "", errorf(from, "%s is not one of none, restart, signal:NAME", sanitize.Quote(s))
	}
	return OnRefreshSignal + name, nil
}

// listen takes HOST:PORT, or the path of a folder.
func (r *resolver) listen(s string, from Source) (string, error) {
	if filepath.IsAbs(s) {
		return r.path(s, from)
	}
	return listenAddress(s, from)
}

// listenAddress takes HOST:PORT with an IP address or localhost; port 0 is any
// free one.
func listenAddress(s string, from Source) (string, error) {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return "", errorf(from, "%s is not HOST:PORT", sanitize.Quote(s))
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if net.ParseIP(host) == nil {
		return "", errorf(from, "%s is no IP address", sanitize.Quote(host))
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}
