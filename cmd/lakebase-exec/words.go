package main

import (
	"slices"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const usage = "lakebase-exec [options] -- COMMAND [ARG...]"

func noCommand() error {
	return &cli.UsageError{Problem: "no command is given", Fix: usage}
}

// parse cuts the command line at the first "--", so that no word of the command
// is ever taken for an option of ours, and reads what stands before it.
func parse(args []string) (given map[string][]string, argv []string, err error) {
	cut := slices.Index(args, "--")
	before := args
	if cut >= 0 {
		before, argv = args[:cut], args[cut+1:]
	}
	given, rest, err := cli.NewOptions(config.Settings(), "print-env", "help,h", "version,V").Parse(program, before)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) > 0 {
		return nil, nil, &cli.UsageError{Problem: sanitize.Quote(rest[0]) + " is not an option; the command stands behind --", Fix: usage}
	}
	return given, argv, nil
}

// page is the text of --help or --version.
func page(given map[string][]string) (string, bool) {
	switch {
	case given["help"] != nil:
		return cli.Help(help, config.Settings()), true
	case given["version"] != nil:
		return program + " " + cli.Version() + "\n", true
	}
	return "", false
}

var help = cli.Page{
	Name:  program,
	Brief: "run a command with a working login to a Databricks Lakebase database",
	Usage: usage,
	Text: `Takes a service principal's secret from the OS keychain, exchanges it for a
database token that lives one hour, wakes the compute if it sleeps, and then
replaces itself with COMMAND. COMMAND finds the way in its environment: PGHOST,
PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT. The secret is
not among it.

Store the secret once with: lakebase-credential-helper login`,
	More: []cli.Option{
		{Name: "print-env", Text: "show what the command would get, without values that are secret; start nothing"},
		{Name: "help", Short: "h", Text: "show this page"},
		{Name: "version", Short: "V", Text: "show the version"},
	},
	Examples: []string{
		"lakebase-exec -p prod -- psql",
		"lakebase-exec -p prod -- migrate -database 'postgres:///' -path migrations up",
		"lakebase-exec -p prod --print-env",
	},
	ExitCodes: true,
}
