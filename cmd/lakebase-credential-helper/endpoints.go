package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
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
		Action: c.action(func(_ map[string][]string, in *config.Input) error { in.NoEndpoint = true; return nil }, endpoints),
	}
}

// listedPlace is one line of what endpoints prints.
type listedPlace struct {
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
	if c.given["endpoint"] == nil { // the endpoint of a profile does not limit the list
		c.conf.Endpoint = config.Value[string]{}
	}
	places, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	rows := []listedPlace{}
	for _, p := range places {
		rows = append(rows, listedPlace{Endpoint: p.Endpoint.Name, Branch: p.Branch.Name, Project: p.Project.Name, DisplayName: p.Project.DisplayName,
			State: stateOf(p), Host: p.Endpoint.Host, ReadOnlyHost: p.Endpoint.ReadOnlyHost, UID: p.Endpoint.UID,
			ReadOnly: p.Endpoint.Type == "ENDPOINT_TYPE_READ_ONLY", Default: p.Branch.Default})
	}
	if c.given["json"] != nil {
		return printJSON(c.ReportOutput(), struct {
			Version   int           `json:"version"`
			Endpoints []listedPlace `json:"endpoints"`
		}{1, rows})
	}
	w := tabwriter.NewWriter(c.ReportOutput(), 0, 8, 2, ' ', 0)
	if len(rows) > 0 {
		fmt.Fprintln(w, "ENDPOINT\tSTATE\tHOST")
	}
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join([]string{sanitize.Escape(nameOf(r)), sanitize.Escape(r.State), sanitize.Escape(r.Host)}, "\t"))
	}
	return w.Flush()
}

func (c *invocation) catalog(ctx context.Context) ([]lakebase.EndpointInfo, error) {
	progress := c.StartProgress(c.log)
	defer progress.Stop()
	client, err := c.Client(c.conf, c.Keychain(c.conf), c.log, progress)
	if err != nil {
		return nil, err
	}
	return client.List(ctx)
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

// nameOf returns the full name of the most specific resource in a row.
func nameOf(r listedPlace) string {
	for _, name := range []string{r.Endpoint, r.Branch} {
		if name != "" {
			return name
		}
	}
	return r.Project
}
