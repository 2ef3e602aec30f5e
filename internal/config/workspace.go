package config

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Workspace is where a workspace answers: https on one host, and the ids that
// some hosts need beside it.
type Workspace struct {
	hostname, port string
	WorkspaceID    string // ?o= or ?w=
	AccountID      string // ?a=
}

// Hostname is the DNS name or IP address, without a port.
func (w Workspace) Hostname() string { return w.hostname }

// HostPort is host, or host:port where the port is not 443.
func (w Workspace) HostPort() string { return joinHostPort(w.hostname, w.port) }

// URL is https://HOST[:PORT].
func (w Workspace) URL() string { return "https://" + w.HostPort() }

// String is the URL with the ids behind it, in the form that ParseWorkspace takes.
func (w Workspace) String() string {
	q := url.Values{}
	if w.WorkspaceID != "" {
		q.Set("o", w.WorkspaceID)
	}
	if w.AccountID != "" {
		q.Set("a", w.AccountID)
	}
	if len(q) == 0 {
		return w.URL()
	}
	return w.URL() + "/?" + q.Encode()
}

// IsZero says whether there is none.
func (w Workspace) IsZero() bool { return w.hostname == "" }

// ParseWorkspace takes a workspace's address as people have it: bare or with
// https, with the ?o=, ?w= and ?a= that a browser's address bar shows
// (databricks-sdk-go config/config.go strips the same).
func ParseWorkspace(s string, from Source) (Workspace, error) {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "@") { // first, and not shown: a password may stand there
		return Workspace{}, errorf(from, "a user name or password before the host is not taken")
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return Workspace{}, errorf(from, "%s has a character in it that no host has", sanitize.Quote(s))
		}
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "https", s
	}
	if strings.ToLower(scheme) != "https" {
		return Workspace{}, &Error{Name: from.String(), Problem: "the scheme " + sanitize.Quote(scheme) + " is not https", Fix: "give https://HOST, or the host alone"}
	}
	if strings.Contains(rest, "#") {
		return Workspace{}, errorf(from, "%s has a fragment (#…)", sanitize.Quote(s))
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/\\%") {
		return Workspace{}, errorf(from, "%s has a path behind the host", sanitize.Quote(s))
	}
	w := Workspace{}
	if err := w.ids(query, from); err != nil {
		return Workspace{}, err
	}
	return w, w.authority(rest, from)
}

// authority sets host and port.
func (w *Workspace) authority(s string, from Source) error {
	host, p := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return errorf(from, "%s is not a host", sanitize.Quote(s))
		}
		host, p = s[:end+1], s[end+1:]
		if p != "" && p[0] != ':' {
			return errorf(from, "%s is not a host", sanitize.Quote(s))
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, p = s[:i], s[i:]
	}
	name, err := cleanName(host, from)
	if err != nil {
		return err
	}
	w.hostname, w.port = name, ""
	if p == "" {
		return nil
	}
	n, err := port(p[1:], from)
	if err != nil {
		return err
	}
	if n != 443 {
		w.port = strconv.Itoa(n)
	}
	return nil
}

// ids takes the query that the console's address carries; other keys are the
// console's own business and mean nothing here.
func (w *Workspace) ids(query string, from Source) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errorf(from, "what stands behind the ? cannot be read")
	}
	for _, id := range []struct {
		key  string
		into *string
	}{{"o", &w.WorkspaceID}, {"w", &w.WorkspaceID}, {"a", &w.AccountID}} {
		for _, v := range values[id.key] {
			switch {
			case v == "":
			case strings.Trim(v, "0123456789abcdefABCDEF-") != "":
				return errorf(from, "?%s=%s is not an id", id.key, sanitize.Quote(v))
			case *id.into != "" && *id.into != v:
				return errorf(from, "two different ids stand behind the ?: %s and %s", *id.into, v)
			default:
				*id.into = v
			}
		}
	}
	return nil
}
