package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// defaultSection is the default of the Databricks tools.
const defaultSection = "DEFAULT"

// importSection reads the section of .databrickscfg that --import imports.
func importSection(c *invocation, in *config.Input) error {
	if c.given["import"] == nil {
		return nil
	}
	path := c.DatabricksPath()
	file, err := c.Databricks()
	if errors.Is(err, fs.ErrNotExist) {
		return &config.Error{Name: "--import", Problem: path + " does not exist", Fix: "name the file in DATABRICKS_CONFIG_FILE, or leave out --import to be asked for the secret"}
	}
	if err != nil {
		return err
	}
	im, err := file.Import(c.section(file, in))
	if err != nil {
		return err
	}
	in.Import, c.imported = &im, &im
	return nil
}

// section returns the section's name, and what names it.
func (c *invocation) section(file *config.DatabricksFile, in *config.Input) (string, config.Source) {
	if name := c.given["databricks-profile"]; name != nil {
		return name[0], config.Source{Origin: config.FromOption, Name: "--databricks-profile"}
	}
	if name := c.Env("DATABRICKS_CONFIG_PROFILE"); name != "" {
		return name, config.Source{Origin: config.FromEnvironment, Name: "DATABRICKS_CONFIG_PROFILE"}
	}
	name := c.Env("LAKEBASE_PROFILE")
	if p := in.Options["profile"]; p != nil {
		name = p[0]
	}
	if name != "" && file.Has(name) {
		return name, config.Source{Origin: config.FromOption, Name: "--profile"}
	}
	return defaultSection, config.Source{Origin: config.FromOption, Name: "--import"}
}

// offerRemoval removes the plain-text secret from the file that it was imported from,
// if --remove-plaintext is given or the user agrees; otherwise it logs how to.
func (c *invocation) offerRemoval(ctx context.Context) error {
	if c.imported == nil {
		return nil
	}
	remove := c.given["remove-plaintext"] != nil
	if !remove && cli.Terminal(c.Stdin) && cli.Terminal(c.Stderr) {
		remove = c.confirm(ctx, fmt.Sprintf("Remove the plain-text secret from %s? Other tools that read it there would lose it.", c.imported))
	}
	if !remove {
		c.log.Hint("the secret is still in plain text in %s; add --remove-plaintext to remove that line", c.imported)
		return nil
	}
	err := securefile.UpdateFile(context.WithoutCancel(ctx), c.imported.File, func(old []byte) ([]byte, error) { // another program may have written it since
		text, ok := config.ParseDatabricks(c.imported.File, old).WithoutSecret(c.imported.Section, c.imported.Secret)
		if !ok {
			c.log.Warn("%s now holds another secret or none, and was not changed", c.imported)
			return nil, nil
		}
		return text, nil
	})
	if err != nil {
		return fmt.Errorf("the secret was stored, but is still in plain text in %s: %w", c.imported, err)
	}
	return nil
}

// confirm asks a question on the terminal; the default is no.
func (c *invocation) confirm(ctx context.Context, question string) bool {
	fmt.Fprintf(c.Stderr, "%s [y/N] ", sanitize.Escape(question))
	text, err := withTimeout(ctx, typeTimeout, func() ([]byte, error) {
		line, err := bufio.NewReader(io.LimitReader(c.Stdin, maxSecret)).ReadString('\n')
		return []byte(line), err
	})
	if err != nil {
		fmt.Fprintln(c.Stderr)
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(string(text)))
	return answer == "y" || answer == "yes"
}
