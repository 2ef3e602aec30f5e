package main

import (
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// getLimit is what get takes at the most: the strictest caller (Bazel) gives a
// helper ten seconds.
const getLimit = 10 * time.Second

// childOnly are the settings that only a started command needs.
var childOnly = []string{"child-sslmode", "keep", "wait", "wait-timeout", "pghostaddr"}

var helpOption = cli.Option{Name: "help", Short: "h", Text: "show this page"}

func commands() []command {
	return []command{
		{
			page: cli.Page{
				Name: "login", Brief: "put a service principal's secret into the keychain",
				Usage: program + " login [options]",
				Text: `Reads the secret without echo, proves it by an exchange, stores it in the OS
keychain for this host and client id alone, and reads it back. With --profile
the target is written to the file of profiles, which holds no secret.`,
				Omit: append([]string{"client-secret-file", "ttl", "min-ttl"}, childOnly...),
				More: []cli.Option{
					{Name: "secret-stdin", Text: "read the secret from standard input"},
					{Name: "secret-file", Value: "PATH", Text: "read the secret from this file"},
					{Name: "no-verify", Text: "store the secret without an exchange"},
					helpOption,
				},
				Examples: []string{
					program + " login -p prod --host https://dbc-a1b2c3.cloud.databricks.com \\\n      --client-id 5f2b… --endpoint projects/shop/branches/production/endpoints/primary",
				},
			},
			values: []string{"secret-file"},
			change: func(_ map[string][]string, in *config.Input) { in.NewProfile, in.NoEndpoint = true, true },
			run:    login,
		},
		{
			page: cli.Page{
				Name: "get", Brief: "print a database token",
				Usage: program + " get [options]",
				Text: `Prints one document on stdout and nothing on stderr, or nothing on stdout, the
reason on stderr and an exit code. Takes ten seconds at the most, reads no
standard input and never prompts. The expiry told is one minute early.`,
				Omit:     childOnly,
				More:     []cli.Option{{Name: "format", Value: "FORMAT", Text: "json [default json]"}, helpOption},
				Examples: []string{program + " get -p prod"},
			},
			values: []string{"format"},
			change: func(map[string][]string, *config.Input) {},
			limit:  getLimit,
			run:    get,
		},
		{
			page: cli.Page{
				Name: "logout", Brief: "take a secret and its tokens out of the keychain",
				Usage: program + " logout [options] | --all",
				Text: `Deletes the secret of the target's host and client id, and every token that was
cached for them. The profile stays: it holds no secret.`,
				Omit: append([]string{"client-secret-file", "ttl", "min-ttl"}, childOnly...),
				More: []cli.Option{{Name: "all", Text: "delete all that is stored"}, helpOption},
			},
			change: func(given map[string][]string, in *config.Input) {
				in.NoEndpoint, in.NoTarget = true, given["all"] != nil
			},
			run: logout,
		},
		{
			page: cli.Page{
				Name: "list", Brief: "show what is stored, without secrets",
				Usage: program + " list [--json]",
				Text:  `Lists the secrets by host and client id, the cached tokens, and the profiles.`,
				Omit:  listOmit(),
				More:  []cli.Option{{Name: "json", Text: "as one JSON document"}, helpOption},
			},
			change: func(_ map[string][]string, in *config.Input) { in.NoTarget = true },
			run:    list,
		},
	}
}

// listOmit leaves list the settings of the keychain and of its words.
func listOmit() []string {
	var out []string
	for _, s := range config.Settings() {
		switch s.Option {
		case "keychain-timeout", "cache", "runtime-dir", "verbose", "quiet", "log-format":
		default:
			out = append(out, s.Option)
		}
	}
	return out
}

// titled puts the program's name before a command's in its help.
func titled(p cli.Page) cli.Page {
	p.Name = program + " " + p.Name
	return p
}

func topHelp() string {
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
	return cli.Help(page, nil)
}
