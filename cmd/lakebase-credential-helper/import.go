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

// defaultSection is the one that the Databricks tools take unasked.
const defaultSection = "DEFAULT"

// importSection reads the section of .databrickscfg that --import is about.
func importSection(c *call, in *config.Input) error {
	if c.given["import"] == nil {
		return nil
	}
	path := c.DatabricksPath()
	file, err := c.Databricks()
	if errors.Is(err, fs.ErrNotExist) {
		return &config.Error{Name: "--import", Problem: "there is no " + path, Fix: "name the file in DATABRICKS_CONFIG_FILE, or leave out --import to be asked for the secret"}
	}
	if err != nil {
		return err
	}
	im, err := file.Import(c.section(file, in))
	if err != nil {
		return err
	}
	in.Import, c.taken = &im, &im
	return nil
}

// section decides on the section's name: what names one for the Databricks
// tools goes before our profile's name.
func (c *call) section(file *config.DatabricksFile, in *config.Input) (string, config.Source) {
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

// offerRemoval takes the plain-text secret out of the file that it was imported
// from, where it is told to; else it says how.
func (c *call) offerRemoval(ctx context.Context) error {
	if c.taken == nil {
		return nil
	}
	remove := c.given["remove-plaintext"] != nil
	if !remove && cli.Terminal(c.Stdin) && cli.Terminal(c.Stderr) {
		remove = c.confirm(ctx, fmt.Sprintf("Remove the plain-text secret from %s? Other tools that read it there would lose it.", c.taken))
	}
	if !remove {
		c.say.Hint("the secret still stands in plain text in %s; to take that line out, add --remove-plaintext", c.taken)
		return nil
	}
	// Another program may have written it since.
	file, err := c.Databricks()
	if err != nil {
		return err
	}
	text, ok := file.WithoutSecret(c.taken.Section, c.taken.Secret)
	if !ok {
		c.say.Warn("%s holds another secret by now, or none: it was left as it is", c.taken)
		return nil
	}
	return securefile.WriteFile(c.taken.File, text)
}

// confirm asks a question on the terminal; no answer is a no.
func (c *call) confirm(ctx context.Context, question string) bool {
	fmt.Fprintf(c.Stderr, "%s [y/N] ", sanitize.Escape(question))
	text, err := within(ctx, typingTime, func() ([]byte, error) {
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
