package main

import (
	"cmp"
	"context"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
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
			ofStart, "instance", "credential", "read-only", "pghost", "pgport", "database", "sslmode", "sslrootcert", "ttl"),
		Action: c.action(func(_ options, in *config.Input) error { in.NoEndpoint = true; return nil }, endpoints),
	}
}

// listedEndpoint is one line of what endpoints prints: an endpoint, or a branch or
// project without one.
type listedEndpoint struct {
	Endpoint     string `json:"endpoint,omitempty"`
	Branch       string `json:"branch,omitempty"`
	Project      string `json:"project"`
	DisplayName  string `json:"display_name,omitempty"`
	State        string `json:"state,omitempty"`
	Host         string `json:"host,omitempty"`
	ReadOnlyHost string `json:"read_only_host,omitempty"`
	UID          string `json:"uid,omitempty"`
	ReadOnly     bool   `json:"read_only"`
	Default      bool   `json:"default_branch"`
}

func endpoints(ctx context.Context, c *invocation) error {
	if !c.given.has("endpoint") { // the endpoint of a profile does not limit the list
		c.conf.Endpoint = config.Value[string]{}
	}
	progress := c.StartProgress(c.log)
	defer progress.Stop()
	client, err := c.Client(c.conf, c.Keychain(c.conf), c.log, progress)
	if err != nil {
		return err
	}
	infos, err := client.List(ctx)
	progress.Stop()
	if err != nil {
		return err
	}
	list, rows := []listedEndpoint{}, [][]string{}
	for _, p := range infos {
		e := listedEndpoint{Endpoint: p.Endpoint.Name, Branch: p.Branch.Name, Project: p.Project.Name, DisplayName: p.Project.DisplayName,
			State: stateOf(p), Host: p.Endpoint.Host, ReadOnlyHost: p.Endpoint.ReadOnlyHost, UID: p.Endpoint.UID,
			ReadOnly: p.Endpoint.Type == "ENDPOINT_TYPE_READ_ONLY", Default: p.Branch.Default}
		list = append(list, e)
		rows = append(rows, []string{cmp.Or(e.Endpoint, e.Branch, e.Project), e.State, e.Host})
	}
	if c.given.has("json") {
		return printJSON(c.ReportOutput(), struct {
			Version   int              `json:"version"`
			Endpoints []listedEndpoint `json:"endpoints"`
		}{1, list})
	}
	w := tabwriter.NewWriter(c.ReportOutput(), 0, 8, 2, ' ', 0)
	writeTable(w, "ENDPOINT\tSTATE\tHOST", rows)
	return w.Flush()
}

// stateOf is an endpoint's state, or that of the branch that keeps it from having one.
func stateOf(p lakebase.EndpointInfo) string {
	switch {
	case p.Endpoint.Disabled:
		return "DISABLED"
	case p.Branch.Archived, p.Endpoint == (exchange.Endpoint{}) && p.Branch.State != "":
		return p.Branch.State
	}
	return p.Endpoint.State
}
