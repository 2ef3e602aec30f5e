package config

import (
	"net/netip"
	"strings"
)

// databaseZones are the DNS zones under which Databricks runs workspaces and
// databases (databricks-sdk-go, common/environment/environments.go).
var databaseZones = []string{
	".cloud.databricks.com",
	".cloud.databricks.us",
	".gcp.databricks.com",
	".dev.databricks.com",
	".azuredatabricks.net",
	".databricks.azure.us",
	".databricks.azure.cn",
}

// IsDatabaseDomain says whether host is NAME.database[.REGION].ZONE with one of
// Databricks' own zones, the form that the endpoints API gives out
// ("ep-….database.us-east-1.cloud.databricks.com", databricks/cli
// acceptance/cmd/psql; Azure and Provisioned hosts have the same shape).
func IsDatabaseDomain(host string) bool {
	for _, zone := range databaseZones {
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

// IsPooler says whether host is the pooled one, which takes no OAuth roles
// (Databricks documentation, "Connection pooling").
func IsPooler(host string) bool {
	label, _, _ := strings.Cut(host, ".")
	return strings.HasSuffix(label, "-pooler")
}

// IsLoopback says whether host is this machine by its name or address alone;
// nothing is resolved.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(unbracket(host))
	return err == nil && ip.Unmap().IsLoopback()
}
