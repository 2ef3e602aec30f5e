package main

import (
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// commandOnly are the settings that only a started command needs; childOnly those too
// that a supervisor or the login before a start needs.
var (
	commandOnly = optionsOf(config.CategoryCommand)
	childOnly   = optionsOf(config.CategoryCommand, config.CategoryService, config.CategoryLogin)
)

// optionsOf lists the options of some categories.
func optionsOf(categories ...config.Category) []string {
	var out []string
	for _, s := range config.Settings() {
		if slices.Contains(categories, s.Category) {
			out = append(out, s.Option)
		}
	}
	return out
}

var helpOption = cli.Option{Name: "help", Short: "h", Text: "show this page"}

func commands() []command {
	return []command{
		{
			page: cli.Page{
				Name: "login", Brief: "put a service principal's secret, or a person's login, into the keychain",
				Usage: program + " login [options]",
				Text: `Reads the secret without echo, proves it by an exchange, stores it in the OS
keychain for this host and client id alone, and reads it back. With --profile
the target is written to the file of profiles, which holds no secret.

--store file is for machines without a keychain: the secret stands in a file of
mode 0600 in lakebase/secrets under the configuration folder, in plain text.

--import takes host, client_id and client_secret from a section of
~/.databrickscfg (DATABRICKS_CONFIG_FILE): --databricks-profile, else
DATABRICKS_CONFIG_PROFILE, else the name given with --profile where there is
such a section, else DEFAULT. --host and --client-id must agree with it.

--user-login signs a person in: it opens the browser ($BROWSER first), waits for
it for five minutes, and keeps what renews the login in the same place. Where the
browser cannot reach this machine (ssh, containers, WSL), --no-browser prints the
address, and takes the one that the browser ends up at on standard input.`,
				Omit: append([]string{"client-secret-file", "read-only", "ttl", "min-ttl"}, childOnly...),
				More: []cli.Option{
					{Name: "secret-stdin", Text: "read the secret from standard input"},
					{Name: "secret-file", Value: "PATH", Text: "read the secret from this file"},
					{Name: "import", Text: "take host, client id and secret from ~/.databrickscfg"},
					{Name: "remove-plaintext", Text: "after --import, take the secret's line out of that file"},
					{Name: "user-login", Text: "sign in as a person, by a browser"},
					{Name: "no-browser", Text: "with --user-login: print the address to open"},
					{Name: "store", Value: "WHERE", Text: "where it is kept: keychain, file [default keychain]", Words: []string{storeKeychain, storeFile}},
					{Name: "no-verify", Text: "store it without an exchange; a person's, without asking for a database token"},
					helpOption,
				},
				Examples: []string{
					program + " login -p prod --host https://dbc-a1b2c3.cloud.databricks.com \\\n      --client-id 5f2b… --endpoint projects/shop/branches/production/endpoints/primary",
					program + " login -p me --user-login --host https://dbc-a1b2c3.cloud.databricks.com --endpoint shop",
				},
			},
			values: []string{"secret-file", "store"},
			change: checkLogin,
			input:  importSection,
			run:    login,
		},
		{
			page: cli.Page{
				Name: "get", Brief: "print a database token",
				Usage: program + " get [options]",
				Text: `Prints one document on stdout and nothing on stderr, or nothing on stdout, the
reason on stderr and an exit code. Takes ten seconds at the most, reads no
standard input and never prompts. The expiry told is one minute early.`,
				Omit: childOnly,
				More: []cli.Option{
					{Name: "format", Value: "FORMAT", Text: strings.Join(allFormats(), ", ") + " [default json]", Words: allFormats()},
					{Name: "wait", Value: "TIME", Text: "also wait this long for a sleeping compute to wake"},
					helpOption,
				},
				Examples: []string{
					program + " get -p prod --format password",
					`eval "$(` + program + ` get -p prod --format env)"`,
				},
			},
			values: []string{"format", "wait"},
			change: checkGet,
			brief:  true,
			run:    get,
		},
		{
			page: cli.Page{
				Name: "logout", Brief: "delete a stored secret or login, and its tokens",
				Usage: program + " logout [options] | --all",
				Text: `Deletes the secret of the target's host and client id from keychain and file, and
every token that was cached for them. Without a client id it is the login of the
person who signed in at the host, which --user names where there are several.
The profile stays: it holds no secret.`,
				Omit: append([]string{"client-secret-file", "credential", "read-only", "ttl", "min-ttl"}, childOnly...),
				More: []cli.Option{{Name: "all", Text: "delete all that is stored"}, helpOption},
			},
			change: checkLogout,
			run:    logout,
		},
		{
			page: cli.Page{
				Name: "rotate", Brief: "put a new secret into the stored one's place",
				Usage: program + " rotate [options]",
				Text: `Makes a new secret of the service principal, signs in with it, stores it where
the old one stands, reads it back, and then deletes the old one, if that was
made by an earlier rotate or its id is given by --delete-id. Otherwise it stays,
as it may serve elsewhere, and what there is is listed. Five secrets are the
most that a service principal can have: with five, nothing is made. Interrupted
at any point, the stored secret works; the next rotate deletes what is left.`,
				Omit: append([]string{"client-secret-file", "endpoint", "instance", "credential", "read-only", "pghost", "pgport", "database", "user", "sslmode", "sslrootcert", "ttl", "min-ttl", "cache"}, childOnly...),
				More: []cli.Option{
					{Name: "lifetime", Value: "TIME", Text: "how long the new secret lives, such as 90d, at most 730d [default the server's]"},
					{Name: "keep-old", Value: "TIME", Text: "leave the old one for this long; the first rotate after that deletes it"},
					{Name: "delete-id", Value: "ID", Text: "delete this secret too"},
					{Name: "delete-only", Text: "make none: delete what is due, and --delete-id"},
					helpOption,
				},
				Examples: []string{
					program + " rotate -p prod --lifetime 90d",
					program + " rotate -p prod --delete-only --delete-id 8c1f…",
				},
			},
			values: []string{"lifetime", "keep-old", "delete-id"},
			change: checkRotate,
			run:    rotateSecret,
		},
		{
			page: cli.Page{
				Name: "list", Brief: "show what is stored, without secrets",
				Usage: program + " list [--json]",
				Text: `Lists the secrets by host and client id, the people who have signed in, the cached
tokens, and the profiles. A token for the workspace, and for no database, has
(workspace) for its endpoint; in JSON its kind is workspace, else database.`,
				Omit: optionsOf(config.CategoryTarget, config.CategoryAuth, config.CategoryToken, config.CategoryConnection, config.CategoryLogin, config.CategoryCommand, config.CategoryService),
				More: []cli.Option{{Name: "json", Text: "as one JSON document"}, helpOption},
			},
			change: func(_ map[string][]string, in *config.Input) error { in.NoTarget = true; return nil },
			run:    list,
		},
		{
			page: cli.Page{
				Name: "proxy", Brief: "serve clients that know nothing of tokens",
				Usage: program + " proxy [options] --listen ADDR (--password-file PATH | --trust-local)",
				Text: `Listens for Postgres clients and logs them in at the endpoint with a fresh token,
for as long as it runs; a sleeping compute is woken for them. They connect with
sslmode=disable (or require, on TCP), the target's user, and the password of the
file. The address goes to stdout, in one line, once a login has worked.`,
				Omit: commandOnly,
				More: []cli.Option{
					{Name: "password-file", Value: "PATH", Text: "clients give the password of this file"},
					{Name: "trust-local", Text: "clients give none: whoever reaches the address is let in; loopback and sockets only"},
					helpOption,
				},
				Examples: []string{program + " proxy -p prod --listen 127.0.0.1:5432 --password-file ~/.lakebase-proxy"},
			},
			values: []string{"password-file"},
			change: checkProxy,
			input:  hideSecret,
			run:    serve,
		},
		endpointsCommand(),
		doctorCommand(),
		completionCommand(),
	}
}

// titled puts the program's name before a command's in its help.
func titled(p cli.Page) cli.Page {
	p.Name = program + " " + p.Name
	return p
}

func topHelp() string { return cli.Help(topPage(), nil) }

func topPage() cli.Page {
	page := cli.Page{
		Name: program, Brief: "keep a Lakebase secret in the keychain, hand out its tokens",
		Usage: program + " COMMAND [options]",
		Text: `Puts a service principal's secret into the OS keychain, where lakebase-exec
finds it, and prints one-hour database tokens for other tools' hooks.
Each command has its own --help.`,
		More:      []cli.Option{helpOption, {Name: "version", Short: "V", Text: "show the version"}},
		ExitCodes: true,
	}
	for _, c := range commands() {
		page.Commands = append(page.Commands, cli.Option{Name: c.page.Name, Text: c.page.Brief})
	}
	return page
}
