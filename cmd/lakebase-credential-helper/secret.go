package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// maxSecret is the maximum length of a secret.
const maxSecret = 4 << 10

// readSecret reads the secret from .databrickscfg, a file or standard input. It returns
// none if typeSecret has to ask for it.
func (c *invocation) readSecret() (none credential.Secret, err error) {
	terminal := cli.Terminal(c.Stdin)
	switch {
	case c.given.has("import"):
		return c.conf.Secret.Text, nil
	case c.given.has("secret-file"):
		secret, err := c.ReadSecretFile(c.given.get("secret-file"), c.conf.Native())
		if err != nil {
			err = &config.Error{Name: "--secret-file", Problem: err.Error(), Err: err}
		}
		return secret, err
	case c.given.has("secret-stdin") && terminal:
		return none, &cli.UsageError{Problem: "standard input is a terminal, which would show the secret",
			Fix: "leave out --secret-stdin to be asked without echo"}
	case c.given.has("secret-stdin"):
		text, err := io.ReadAll(io.LimitReader(c.Stdin, maxSecret+1))
		if err != nil {
			return none, fmt.Errorf("reading the secret from standard input: %w", err)
		}
		return c.checkSecret("--secret-stdin", text)
	case !terminal:
		return none, &cli.UsageError{Problem: "no terminal to read the secret from", Fix: "give it with --secret-stdin or --secret-file PATH"}
	}
	return none, nil
}

// typeSecret reads the secret from the terminal without echo.
func (c *invocation) typeSecret() (none credential.Secret, err error) {
	prompt := fmt.Sprintf("Secret of client %s at %s (not shown): ", c.conf.ClientID.Value, c.conf.Workspace.Value.HostPort())
	if c.conf.Native() {
		prompt = fmt.Sprintf("Password of role %s at %s (not shown): ", sanitize.Line(c.conf.User.Value), c.conf.PGHostPort())
	}
	text, err := promptSecret(c.Stdin.(*os.File), c.Stderr, prompt)
	fmt.Fprintln(c.Stderr)
	switch {
	case err != nil:
		return none, fmt.Errorf("reading the secret from the terminal: %w", err)
	case len(bytes.TrimSpace(text)) == 0:
		return none, &auth.SourceError{Problem: "no secret was given",
			Fix: "run the command again and paste the secret, or give it with --secret-stdin or --secret-file PATH"}
	}
	return c.checkSecret("the secret", text)
}

// checkSecret trims space, and rejects what a secret cannot contain.
func (c *invocation) checkSecret(where string, text []byte) (credential.Secret, error) {
	if len(text) > maxSecret {
		return credential.Secret{}, &config.Error{Name: where, Problem: fmt.Sprintf("is longer than %d bytes", maxSecret),
			Fix: "give only the secret"}
	}
	if c.conf.Native() {
		return config.ParsePassword(string(text), config.Source{Origin: config.FromOption, Name: where})
	}
	return config.ParseSecret("a secret", string(text), config.Source{Origin: config.FromOption, Name: where})
}

// importSection names the section of .databrickscfg that --import imports: as the
// Databricks tools do DEFAULT, if nothing else does.
func importSection(c *invocation, in *config.Input) error {
	if !c.given.has("import") {
		return nil
	}
	file, err := c.Databricks()
	if err != nil {
		return err
	}
	name, from := "DEFAULT", config.Source{Origin: config.FromOption, Name: "--import"}
	profile := c.Env("LAKEBASE_PROFILE")
	if c.given.has("profile") {
		profile = c.given.get("profile")
	}
	switch env := c.Env("DATABRICKS_CONFIG_PROFILE"); {
	case c.given.has("databricks-profile"):
		name, from.Name = c.given.get("databricks-profile"), "--databricks-profile"
	case env != "":
		name, from = env, config.Source{Origin: config.FromEnvironment, Name: "DATABRICKS_CONFIG_PROFILE"}
	case file.Has(profile):
		name, from.Name = profile, "--profile"
	}
	c.section, in.Import = name, config.Value[string]{Value: name, Source: from}
	return nil
}

// removePlaintext removes the imported secret from its file, or logs how to.
func (c *invocation) removePlaintext(ctx context.Context) error {
	if !c.given.has("import") {
		return nil
	}
	path := c.DatabricksPath()
	from := fmt.Sprintf("section [%s] of %s", c.section, path)
	if !c.given.has("remove-plaintext") {
		c.log.Hint("the secret is still in plain text in %s; add --remove-plaintext to remove that line", from)
		return nil
	}
	// Another program may have written the file since.
	err := securefile.UpdateFile(context.WithoutCancel(ctx), path, func(old []byte) ([]byte, error) {
		text, ok := config.ParseDatabricks(path, old).WithoutSecret(c.section, c.conf.Secret.Text)
		if !ok {
			c.log.Warn("%s now holds another secret or none, and was not changed", from)
			return nil, nil
		}
		return text, nil
	})
	if err != nil {
		return fmt.Errorf("the secret was stored, but is still in plain text in %s: %w", from, err)
	}
	return nil
}
