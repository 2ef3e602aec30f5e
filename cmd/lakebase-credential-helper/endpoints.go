package main

import (
	"cmp"
	"context"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
)

func endpointsCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "endpoints", Category: categorySupport, Usage: "list projects, branches and endpoints with their state and host",
		UsageText: program + " endpoints [options]",
		Description: `Asks the workspace and prints one line for each endpoint, by the name that
--endpoint takes. With --endpoint it lists that project or branch only.

Examples:
  lakebase-credential-helper endpoints -p prod
  lakebase-credential-helper endpoints -p prod --endpoint shop`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}},
			ofStart, "instance", "credential", "read-only", "pooled", "pghost", "pgport", "database", "sslmode", "sslrootcert", "ttl"),
		Action: c.action(func(_ options, in *config.Input) error { in.NoEndpoint = true; return nil }, endpoints),
	}
}

func endpoints(ctx context.Context, c *invocation) error {
	if !c.given.has("endpoint") { // the endpoint of a profile does not limit the list
		c.conf.Endpoint = config.Value[string]{}
	}
	client, err := c.Client(c.conf, c.Keychain(c.conf), c.log, c.progress)
	if err != nil {
		return err
	}
	infos, err := client.List(ctx)
	if err != nil {
		return err
	}
	if c.given.has("json") {
		return printJSON(c.ReportOutput(), struct {
			Version   int                     `json:"version"`
			Endpoints []lakebase.EndpointInfo `json:"endpoints"`
		}{1, append([]lakebase.EndpointInfo{}, infos...)})
	}
	w := tabwriter.NewWriter(c.ReportOutput(), 0, 8, 2, ' ', 0)
	writeTable(w, "ENDPOINT\tSTATE\tHOST", infos, func(e lakebase.EndpointInfo) []string {
		return []string{cmp.Or(e.Endpoint, e.Branch, e.Project), e.State, e.Host}
	})
	return w.Flush()
}
