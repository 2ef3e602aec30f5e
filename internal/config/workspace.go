package config

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Workspace is the address of a workspace: an https host, and the IDs that some hosts
// need.
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

// String returns the URL with the IDs, in a form that ParseWorkspace accepts.
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

// IsZero reports whether w is unset.
func (w Workspace) IsZero() bool { return w.hostname == "" }

// withoutPage removes path and fragment from an address that a browser's address bar
// shows, https://HOST/PATH?QUERY#FRAGMENT. Anything else is returned as it is.
func withoutPage(s string) string {
	const scheme = "https://"
	address, _, _ := strings.Cut(s, "#")
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) || strings.ContainsAny(address, "@\\") {
		return s
	}
	host, page, found := strings.Cut(address[len(scheme):], "/")
	if !found || strings.HasPrefix(page, "/") || strings.ContainsAny(host, "?%") {
		return s
	}
	if _, query, _ := strings.Cut(page, "?"); query != "" {
		return s[:len(scheme)] + host + "/?" + query
	}
	return s[:len(scheme)] + host
}

// namesPage reports whether s names a page that ParseWorkspace ignores.
func namesPage(s string) bool {
	s = credential.Trim(s)
	short := withoutPage(s)
	return short != s && short+"/" != s
}

// ParseWorkspace parses a workspace's address, with or without https, or what a browser's
// address bar shows: of that the host and the IDs ?o=, ?w= and ?a= count
// (databricks-sdk-go config/config.go strips the same).
func ParseWorkspace(s string, from Source) (Workspace, error) {
	s = withoutPage(credential.Trim(s))
	if strings.Contains(s, "@") { // first, and not shown: it may contain a password
		return Workspace{}, errorf(from, "a user name or password before the host is not supported").withFix("give https://HOST, or the host alone")
	}
	if err := credential.CheckCharacters(s); err != nil {
		return Workspace{}, errorf(from, "%s %v, which is not valid in a host", sanitize.Quote(s), err).withFix("copy the workspace's address from the browser, as https://HOST")
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "https", s
	}
	if strings.ToLower(scheme) != "https" {
		return Workspace{}, &Error{Name: from.String(), Problem: "the scheme " + sanitize.Quote(scheme) + " is not https", Fix: "give https://HOST, or the host alone"}
	}
	if strings.Contains(rest, "#") {
		return Workspace{}, errorf(from, "%s contains a fragment (#…)", sanitize.Quote(s)).withFix("give https://HOST, or the host alone")
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/\\%") {
		return Workspace{}, errorf(from, "%s contains a path after the host", sanitize.Quote(s)).withFix("give https://HOST, or the host alone")
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
			return errorf(from, "%s is not a host", sanitize.Quote(s)).withFix("give https://HOST, or the host alone")
		}
		host, p = s[:end+1], s[end+1:]
		if p != "" && p[0] != ':' {
			return errorf(from, "%s is not a host", sanitize.Quote(s)).withFix("give https://HOST, or the host alone")
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, p = s[:i], s[i:]
	}
	name, err := hostName(host, from)
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

// ids reads the query of the console's address; other keys mean nothing here.
func (w *Workspace) ids(query string, from Source) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errorf(from, "invalid query after the ?").withFix("give https://HOST, or the host alone")
	}
	for _, id := range []struct {
		key  string
		into *string
	}{{"o", &w.WorkspaceID}, {"w", &w.WorkspaceID}, {"a", &w.AccountID}} {
		for _, v := range values[id.key] {
			switch {
			case v == "":
			case strings.Trim(v, "0123456789abcdefABCDEF-") != "":
				return errorf(from, "?%s=%s is not an ID", id.key, sanitize.Quote(v)).withFix("give https://HOST, or the host alone")
			case *id.into != "" && *id.into != v:
				return errorf(from, "two different IDs after the ?: %s and %s", *id.into, v).withFix("give https://HOST, or the host alone")
			default:
				*id.into = v
			}
		}
	}
	return nil
}
