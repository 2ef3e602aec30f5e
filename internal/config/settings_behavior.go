package config

import (
	"fmt"
	"net"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func (r *resolver) behavior() {
	c := &r.conf
	c.TTL = get(r, "ttl", 0, between(minTTL, maxTTL))
	c.MinTTL = get(r, "min-ttl", 15*time.Minute, between(0, maxTTL))
	c.Wait = r.word("wait")
	c.WaitTimeout = get(r, "wait-timeout", time.Minute, between(minTimeout, maxWait))
	c.Timeout = get(r, "timeout", time.Minute, between(minTimeout, maxWait))
	c.KeychainTimeout = get(r, "keychain-timeout", 0, between(minTimeout, maxWait))
	c.Cache = r.word("cache")
	r.refresh()
	c.RuntimeDir = get(r, "runtime-dir", "", r.path)
	c.LogFormat = r.word("log-format")
	c.Keep = r.names("keep")
	c.URLVar = r.names("url-var")
	r.set()
	r.log()
}

// names resolves a list of variables: the option is repeatable, a profile's key holds
// all of them.
func (r *resolver) names(option string) Value[[]string] {
	v := r.lookup(byOption(option))
	if v.text == nil {
		return Value[[]string]{}
	}
	var names []string
	for _, t := range v.text {
		if v.from.Origin == FromOption {
			if t == "" {
				r.fail(errorf(v.from, "is empty").withFix("give a name, or leave the option out"))
			}
			names = append(names, t)
			continue
		}
		names = append(names, strings.FieldsFunc(t, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })...)
	}
	return Value[[]string]{names, v.from}
}

// set resolves --set NAME=TEMPLATE, and the profile's set.NAME keys that no option
// overrides.
func (r *resolver) set() {
	from := Source{FromOption, "--set"}
	taken := map[string]bool{}
	for _, text := range r.in.Options["set"] {
		if text == "" {
			r.fail(errorf(from, "is empty").withFix("write it as --set DATABASE_URL={url}"))
			continue
		}
		name, template, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			r.fail(&Error{Name: "--set", Problem: "is not NAME=TEMPLATE", Fix: "write it as --set DATABASE_URL={url}"})
			continue
		}
		taken[name] = true
		r.conf.Set = append(r.conf.Set, SetVar{name, template, from})
	}
	var names []string
	for name := range r.profile {
		if n, ok := strings.CutPrefix(name, setPrefix); ok && !taken[n] {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		v := r.profile[setPrefix+n]
		r.conf.Set = append(r.conf.Set, SetVar{n, v.text[0], v.from})
	}
}

func (r *resolver) log() {
	r.conf.Log = Value[string]{Value: LogNormal}
	if v := r.in.Environ[envLog]; v != "" {
		from := Source{FromEnvironment, envLog}
		level, err := oneOf([]string{LogQuiet, LogNormal, LogVerbose})(v, from)
		if err != nil {
			r.fail(err)
		}
		r.conf.Log = Value[string]{level, from}
	}
	verbose, quiet := r.in.Options["verbose"] != nil, r.in.Options["quiet"] != nil
	switch {
	case verbose && quiet:
		r.fail(&Error{Name: "--verbose", Problem: "cannot be used with --quiet", Fix: "leave one of them out"})
	case verbose:
		r.conf.Log = Value[string]{LogVerbose, Source{FromOption, "--verbose"}}
	case quiet:
		r.conf.Log = Value[string]{LogQuiet, Source{FromOption, "--quiet"}}
	}
}

// refresh resolves the settings of a command that outlives its token.
func (r *resolver) refresh() {
	c := &r.conf
	c.Refresh = r.word("refresh")
	c.OnRefresh = get(r, "on-refresh", onRefreshNone, onRefresh)
	c.Listen = get(r, "listen", "", r.listen)
	c.MaxConnections = get(r, "max-connections", 1000, connections)
	c.MaxWaiting = get(r, "max-waiting", c.MaxConnections.Value, connections)
	c.StatusFile = get(r, "status-file", "", r.path)
	c.HealthListen = get(r, "health-listen", "", listenAddress)
	if r.in.Listens {
		return
	}
	require := func(mode string, satisfied bool, options ...string) {
		for _, o := range options {
			if !satisfied && len(r.in.Options[o]) > 0 {
				r.fail(&Error{Name: "--" + o, Problem: "requires " + mode, Fix: "add --refresh proxy, or leave --" + o + " out"})
			}
		}
	}
	require("--refresh passfile or --refresh proxy", c.Refresh.Value != RefreshOff, "on-refresh", "status-file", "health-listen")
	require("--refresh proxy", c.Refresh.Value == RefreshProxy, "listen", "max-connections", "max-waiting")
}

// connections validates a number of connections. Each takes up to three descriptors,
// and systems allow a process about a million.
func connections(s string, from Source) (int, error) {
	const most = 100_000
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < 1 || n > most {
		return 0, errorf(from, "%s is not a number from 1 to %d", sanitize.Quote(s), most).withFix(fmt.Sprintf("give a number from 1 to %d", most))
	}
	return int(n), nil
}

func onRefresh(s string, from Source) (string, error) {
	if s == onRefreshNone || s == OnRefreshRestart {
		return s, nil
	}
	name, ok := strings.CutPrefix(s, OnRefreshSignal)
	name = strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") != "" {
		return "", errorf(from, "%s is not one of none, restart, signal:NAME", sanitize.Quote(s)).withFix("write it as --on-refresh signal:HUP, or restart")
	}
	return OnRefreshSignal + name, nil
}

// listen validates HOST:PORT or the path of a directory.
func (r *resolver) listen(s string, from Source) (string, error) {
	if filepath.IsAbs(s) {
		if !IsSocketDir(s) {
			return "", &Error{Name: from.String(), Problem: sanitize.Quote(s) + " contains a comma or a control character, which no PGHOST can contain",
				Fix: "choose another directory, or give --listen 127.0.0.1:0"}
		}
		return r.path(s, from)
	}
	return listenAddress(s, from)
}

// portHint returns the port that s seems to name, as in "5432" or ":5432".
func portHint(s string) string {
	if p := strings.TrimPrefix(s, ":"); digitsOnly(p) && len(p) <= 5 {
		return p
	}
	return "5432"
}

// IsSocketDir reports whether PGHOST can name the directory of a Unix socket: libpq takes
// a comma as the end of a host (PostgreSQL manual, "Specifying Multiple Hosts").
func IsSocketDir(path string) bool {
	return !strings.ContainsFunc(path, func(c rune) bool { return c == ',' || unicode.IsControl(c) || c == unicode.ReplacementChar })
}

// listenAddress validates HOST:PORT with an IP address or localhost; port 0 is any free
// one.
func listenAddress(s string, from Source) (string, error) {
	host, port, err := net.SplitHostPort(s)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return "", errorf(from, "%s is not HOST:PORT", sanitize.Quote(s)).withFix("write it as 127.0.0.1:" + portHint(s))
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if net.ParseIP(host) == nil {
		return "", errorf(from, "%s is not an IP address", sanitize.Quote(host)).withFix("give an IP address or localhost, as in 127.0.0.1:5432")
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}
