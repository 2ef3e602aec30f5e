package config

import (
	"net/netip"
	"slices"
	"strings"
)

// zones are the DNS zones under which Databricks runs workspaces and databases
// (databricks-sdk-go, common/environment/environments.go, whose development and
// staging zones lie inside of these).
var zones = []string{
	".cloud.databricks.com",
	".cloud.databricks.us",
	".gcp.databricks.com",
	".dev.databricks.com",
	".azuredatabricks.net",
	".databricks.azure.us",
	".databricks.azure.cn",
}

// IsDatabaseDomain reports whether host is NAME.database[.REGION].ZONE with one of
// Databricks' own zones, the form of the endpoints API
// ("ep-….database.us-east-1.cloud.databricks.com", databricks/cli
// acceptance/cmd/psql; Azure and Provisioned hosts have the same shape).
func IsDatabaseDomain(host string) bool {
	for _, zone := range zones {
		front, ok := strings.CutSuffix(host, zone)
		if !ok {
			continue
		}
		labels := strings.Split(front, ".")
		for _, l := range labels {
			if !isLabel(l) {
				return false
			}
		}
		n := len(labels)
		if n >= 2 && labels[n-1] == "database" || n >= 3 && labels[n-2] == "database" {
			return true
		}
	}
	return false
}

// isWorkspaceDomain reports whether host is a name in one of Databricks' own zones.
func isWorkspaceDomain(host string) bool {
	for _, zone := range zones {
		if front, ok := strings.CutSuffix(host, zone); ok {
			return !slices.ContainsFunc(strings.Split(front, "."), func(l string) bool { return !isLabel(l) })
		}
	}
	return false
}

// WorkloadHost reports whether a workload's token may be sent to the workspace: the
// host is in a Databricks domain, is this machine, or was an option.
func (c *Config) WorkloadHost() bool {
	w := c.Workspace
	return !w.Value.IsZero() && (w.Source.Origin == FromOption || isWorkspaceDomain(w.Value.Hostname()) || IsLoopback(w.Value.Hostname()))
}

// isPooler reports whether host is a pooled one, which does not accept OAuth roles
// (Databricks documentation, "Connection pooling").
func isPooler(host string) bool {
	label, _, _ := strings.Cut(host, ".")
	return strings.HasSuffix(label, "-pooler")
}

// IsLoopback reports whether host is localhost or a loopback address. It resolves
// nothing.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(unbracket(host))
	return err == nil && ip.Unmap().IsLoopback()
}
