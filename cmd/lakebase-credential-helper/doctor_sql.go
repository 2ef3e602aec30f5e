package main

import (
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// grantSQL is what the project's owner runs for a login that is refused for want
// of a role or a grant; empty for other reasons (Databricks documentation, "Create
// OAuth roles").
func grantSQL(kind pglogin.Kind, conf config.Config) string {
	switch {
	case conf.Credential.Value == config.CredentialWorkspace && conf.Instance.Value == "":
		return "" // it is the password that is wrong
	case kind == pglogin.RoleMissing || kind == pglogin.Refused:
		return cli.RoleSQL(conf) + " " + cli.ConnectSQL(conf)
	case kind == pglogin.ConnectDenied:
		return cli.ConnectSQL(conf)
	}
	return ""
}

// otherRegion says so where two database hosts are of different regions, whose
// name stands behind the word database.
func otherRegion(e *broker.HostError) string {
	is, want := regionOf(e.Configured.Value), regionOf(e.Named)
	if is == "" || is == want {
		return ""
	}
	if want == "" {
		return "; it is in the region " + is
	}
	return "; it is in the region " + is + ", and the target in " + want
}

// regionOf is the REGION of NAME.database.REGION.ZONE.
func regionOf(host string) string {
	if !config.IsDatabaseDomain(host) {
		return ""
	}
	_, rest, _ := strings.Cut(host, ".database.")
	region, zone, _ := strings.Cut(rest, ".")
	if !config.IsDatabaseDomain("x.database." + zone) { // what follows is the zone already
		return ""
	}
	return region
}
