package config

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Workspace is the address of a workspace: a host, and the IDs that some hosts need.
type Workspace struct {
	hostname, port string
	WorkspaceID    string // ?o= or ?w=
	AccountID      string // ?a=
	page           bool   // the address had a path or a fragment, which is left out
}

// Hostname is the DNS name or IP address, without a port.
func (w Workspace) Hostname() string { return w.hostname }

// HostPort is host, or host:port where the port is not 443.
func (w Workspace) HostPort() string {
	if w.port != "" {
		return net.JoinHostPort(w.hostname, w.port)
	}
	return strings.TrimSuffix(net.JoinHostPort(w.hostname, ""), ":")
}

// URL is https://HOST[:PORT].
func (w Workspace) URL() string { return "https://" + w.HostPort() }

// String returns the URL with the IDs, in a form that ParseWorkspace accepts.
func (w Workspace) String() string {
	q := url.Values{"o": {w.WorkspaceID}, "a": {w.AccountID}}
	maps.DeleteFunc(q, func(_ string, id []string) bool { return id[0] == "" })
	if len(q) == 0 {
		return w.URL()
	}
	return w.URL() + "/?" + q.Encode()
}

// IsZero reports whether w is unset.
func (w Workspace) IsZero() bool { return w.hostname == "" }

// ParseWorkspace parses a workspace's address, with or without https, or what a browser's
// address bar shows: of that the host and the IDs ?o=, ?w= and ?a= count
// (databricks-sdk-go config/config.go strips the same).
func ParseWorkspace(s string, from Source) (w Workspace, err error) {
	const fix = "give https://HOST, or the host alone"
	s = credential.Trim(s)
	address, _, _ := strings.Cut(s, "#")
	if strings.Contains(address, "@") { // first, and not shown: it may contain a password
		return w, invalid(from, fix, "a user name or password before the host is not supported")
	}
	address, _, _ = strings.Cut(address, "?")
	if err := credential.CheckCharacters(address); err != nil {
		return w, invalid(from, "copy the workspace's address from the browser, as https://HOST",
			"%s %v, which is not valid in a host", sanitize.Quote(address), err)
	}
	hasScheme := strings.Contains(address, "://")
	if !hasScheme {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || strings.HasSuffix(u.Host, ":") || strings.HasPrefix(u.Path, "//") ||
		!hasScheme && (len(u.Path) > 1 || strings.Contains(s, "#")) {
		return w, rejected(address, from, fix, "is not the address of a workspace")
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case u.Scheme != "https":
		return w, invalid(from, fix, "the scheme %s is not https", sanitize.Quote(u.Scheme))
	case err != nil:
		return w, invalid(from, fix, "invalid query after the ?")
	}
	if u.Port() != "" {
		n, err := numberTo(maxPort)(u.Port(), from)
		if err != nil {
			return w, err
		}
		if n != 443 {
			w.port = strconv.Itoa(n)
		}
	}
	if w.hostname, err = hostName(u.Hostname(), from); err != nil {
		return Workspace{}, err
	}
	w.page = len(u.Path) > 1 || u.Fragment != ""
	for _, key := range []string{"o", "w", "a"} { // other keys are not IDs
		id := &w.WorkspaceID
		if key == "a" {
			id = &w.AccountID
		}
		for _, v := range query[key] {
			if strings.Trim(v, "0123456789abcdefABCDEF-") != "" || v != "" && *id != "" && *id != v {
				return Workspace{}, invalid(from, fix, "?%s=%s is not an ID, or a second one", key, sanitize.Quote(v))
			}
			*id = cmp.Or(*id, v)
		}
	}
	return w, nil
}

// zones are the DNS zones under which Databricks runs workspaces and databases
// (databricks-sdk-go, common/environment/environments.go, whose development and
// staging zones lie inside of these).
var zones = []string{
	".cloud.databricks.com", ".cloud.databricks.us", ".gcp.databricks.com", ".dev.databricks.com",
	".azuredatabricks.net", ".databricks.azure.us", ".databricks.azure.cn",
}

// zoneLabels returns the labels of a host in front of its Databricks zone, if it has one.
func zoneLabels(host string) []string {
	for _, zone := range zones {
		front, ok := strings.CutSuffix(host, zone)
		labels := strings.Split(front, ".")
		if ok && !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }) {
			return labels
		}
	}
	return nil
}

// IsDatabaseDomain reports whether host is NAME.database[.REGION].ZONE with one of
// Databricks' zones: "ep-….database.us-east-1.cloud.databricks.com" (databricks/cli,
// acceptance/cmd/psql; Azure and Provisioned hosts have the same shape).
func IsDatabaseDomain(host string) bool {
	labels := zoneLabels(host)
	n := len(labels)
	return n >= 2 && labels[n-1] == "database" || n >= 3 && labels[n-2] == "database"
}

// WorkloadHost reports whether a workload's token may be sent to the workspace: the
// host is in a Databricks domain, is this machine, or was an option.
func (c *Config) WorkloadHost() bool {
	host := c.Workspace.Value.Hostname()
	return host != "" && (c.Workspace.Source.Origin == FromOption || zoneLabels(host) != nil || isLoopback(host))
}

// isLoopback reports whether host is localhost or a loopback address.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
