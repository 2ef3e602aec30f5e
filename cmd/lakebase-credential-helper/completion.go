package main

import (
	"io"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/completions"
)

func completionCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "completion", Usage: "print a shell's completion script for both programs", Category: categorySupport,
		UsageText: program + " completion " + strings.Join(completionArgs(), "|"),
		ArgsUsage: strings.Join(completionArgs(), " "),
		Description: `Prints the script that completes both programs in that shell, or the names of the
profiles, one a line. Reads the profiles file only: neither keychain nor network.

Examples:
  source <(lakebase-credential-helper completion bash)    # in ~/.bashrc
  source <(lakebase-credential-helper completion zsh)     # in ~/.zshrc, after compinit
  lakebase-credential-helper completion fish | source     # in ~/.config/fish/config.fish`,
		Action: func(u *urfave.Context) error {
			if u.NArg() != 1 || !slices.Contains(completionArgs(), u.Args().First()) {
				return &cli.UsageError{Problem: "completion takes one of " + strings.Join(completionArgs(), ", "), Fix: cli.SeeHelp(u.Command.HelpName)}
			}
			text := completions.Script(u.Args().First())
			if text == "" {
				if _, err := c.Profiles(); err != nil {
					return err
				}
				for _, name := range c.ProfileNames() {
					text += name + "\n"
				}
			}
			_, err := io.WriteString(c.Output(), text)
			return err
		},
	}
}

// completionArgs lists the arguments of the command.
func completionArgs() []string { return append(completions.Shells(), "profiles") }
