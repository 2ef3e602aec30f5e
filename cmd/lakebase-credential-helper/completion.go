package main

import (
	"context"
	"io"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/completions"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// wordProfiles asks for the names that the scripts complete -p with.
const wordProfiles = "profiles"

func completionCommand() command {
	page := cli.Page{
		Name: "completion", Brief: "print a shell's completion script for both programs",
		Usage: program + " completion " + strings.Join(completions.Shells(), "|") + "|" + wordProfiles,
		Text: `Prints the script that completes both programs in that shell, or the names of the
profiles, one a line, which the scripts ask for. Reads the file of profiles at
the most: neither keychain nor network.`,
		Words: append(completions.Shells(), wordProfiles),
		More:  []cli.Option{helpOption},
		Examples: []string{
			"source <(" + program + " completion bash)    # in ~/.bashrc",
			"source <(" + program + " completion zsh)     # in ~/.zshrc, behind compinit",
			program + " completion fish | source      # in ~/.config/fish/config.fish",
		},
	}
	for _, s := range config.Settings() {
		page.Omit = append(page.Omit, s.Option)
	}
	return command{page: page, run: completion}
}

func completion(_ context.Context, c *call) error {
	if c.word != wordProfiles {
		_, err := io.WriteString(c.Stdout, completions.Script(c.word))
		return err
	}
	profiles, err := c.Profiles()
	if err != nil || profiles == nil {
		return err
	}
	var b strings.Builder
	for _, name := range profiles.Names() {
		if strings.IndexFunc(name, sanitize.IsUnsafe) < 0 {
			b.WriteString(name + "\n")
		}
	}
	_, err = io.WriteString(c.Stdout, b.String())
	return err
}
