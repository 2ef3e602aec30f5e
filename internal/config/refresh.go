package config

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// refresh resolves the settings of a command that outlives its token.
func (r *resolver) refresh() {
	c := &r.conf
	c.Refresh = r.word("refresh")
	c.OnRefresh = get(r, "on-refresh", OnRefreshNone, onRefresh)
	c.Listen = get(r, "listen", "", r.listen)
	c.StatusFile = get(r, "status-file", "", r.path)
	c.HealthListen = get(r, "health-listen", "", listenAddress)
	if r.in.Listens {
		return
	}
	for name, given := range map[string]bool{"--on-refresh": c.OnRefresh.Given(), "--status-file": c.StatusFile.Given(), "--health-listen": c.HealthListen.Given()} {
		if given && c.Refresh.Value == RefreshOff {
			r.fail(&Error{Name: name, Problem: "requires --refresh passfile or --refresh proxy"})
		}
	}
	if c.Listen.Given() && c.Refresh.Value != RefreshProxy {
		r.fail(&Error{Name: "--listen", Problem: "requires --refresh proxy"})
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

// listen validates HOST:PORT or the path of a directory.
func (r *resolver) listen(s string, from Source) (string, error) {
	if filepath.IsAbs(s) {
		return r.path(s, from)
	}
	return listenAddress(s, from)
}

// listenAddress validates HOST:PORT with an IP address or localhost; port 0 is any free
// one.
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
		return "", errorf(from, "%s is not an IP address", sanitize.Quote(host))
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}
