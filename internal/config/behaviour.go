package config

import (
	"strings"
	"time"
)

func (r *resolver) behaviour() {
	c := &r.conf
	c.TTL = get(r, "ttl", 0, between(minTTL, maxTTL))
	c.MinTTL = get(r, "min-ttl", 15*time.Minute, between(0, maxTTL))
	c.Wait = get(r, "wait", WaitAuto, words(WaitAuto, WaitAlways, WaitNever))
	c.WaitTimeout = get(r, "wait-timeout", time.Minute, between(minTimeout, maxWait))
	c.Timeout = get(r, "timeout", time.Minute, between(minTimeout, maxWait))
	c.KeychainTimeout = get(r, "keychain-timeout", 0, between(minTimeout, maxWait))
	c.Cache = get(r, "cache", CacheKeychain, words(CacheKeychain, CacheFile, CacheOff))
	c.RuntimeDir = get(r, "runtime-dir", "", r.path)
	c.LogFormat = get(r, "log-format", "text", words("text", "json"))
	r.keep()
	r.log()
}

func (r *resolver) keep() {
	v := r.lookup(byOption("keep"))
	if v.text == nil {
		return
	}
	var names []string
	for _, t := range v.text {
		if v.from.Origin == FromOption {
			if t == "" {
				r.fail(bad(v.from, "is empty"))
			}
			names = append(names, t)
			continue
		}
		names = append(names, strings.FieldsFunc(t, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })...)
	}
	r.conf.Keep = Value[[]string]{names, v.from}
}

func (r *resolver) log() {
	r.conf.Log = Value[string]{V: LogNormal}
	if v := r.in.Environ[envLog]; v != "" {
		from := Source{FromEnvironment, envLog}
		level, err := oneOf(v, from, LogQuiet, LogNormal, LogVerbose)
		if err != nil {
			r.fail(err)
		}
		r.conf.Log = Value[string]{level, from}
	}
	verbose, quiet := r.in.Options["verbose"] != nil, r.in.Options["quiet"] != nil
	switch {
	case verbose && quiet:
		r.fail(&Error{Name: "--verbose", Problem: "cannot be used with --quiet"})
	case verbose:
		r.conf.Log = Value[string]{LogVerbose, Source{FromOption, "--verbose"}}
	case quiet:
		r.conf.Log = Value[string]{LogQuiet, Source{FromOption, "--quiet"}}
	}
}
