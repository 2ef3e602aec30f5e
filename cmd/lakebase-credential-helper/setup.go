package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/lakebase"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/setup"
)

func setupCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "setup", Category: categorySupport, Usage: "make a service principal ready to use the database",
		UsageText: program + " setup --for CLIENT_ID [options]",
		Description: `Creates the Postgres role of a service principal, grants it what is missing, and with
--secret creates and stores its secret, as the identity that the other options
choose. What exists is left as it is. At the end it logs in as the service
principal if this machine has its secret.

Examples:
  lakebase-credential-helper setup --for 5f2b… --auth databricks-cli --grant migrate --secret
  lakebase-credential-helper setup --for 5f2b… --auth databricks-cli --grant read --dry-run`,
		Flags: flags([]config.Setting{
			{Option: "for", Value: "CLIENT_ID", Usage: "application ID of the service principal"},
			{Option: "grant", Value: "LEVEL", Usage: "grant privileges in --schema: read, write, migrate", Words: setup.Levels()},
			{Option: "schema", Value: "NAME", Usage: "schema for --grant", Default: "public"},
			{Option: "secret", Usage: "create a secret and store it on this machine, unless one that works is stored"},
			{Option: "store", Value: "STORE", Usage: "where to store it: keychain, file", Default: storeKeychain, Words: []string{storeKeychain, storeFile}},
			{Option: "dry-run", Usage: "print the calls and the SQL, and change nothing"},
		}, []config.Category{config.CategoryCommand, config.CategoryService}, "native-password-file", "instance", "credential", "read-only", "ttl", "wait"),
		Action: c.action(checkSetup, setUp),
	}
}

// checkSetup checks setup's own options before the configuration is resolved.
func checkSetup(given options, _ *config.Input) error {
	if !credential.IsUUID(strings.TrimSpace(given.get("for"))) {
		return &cli.UsageError{Problem: "--for: give the application ID of a service principal, a UUID",
			Fix: "copy it from the service principal's page in the workspace's settings"}
	}
	if s := given.get("schema"); strings.HasPrefix(s, "pg_") || s == "information_schema" || given.has("schema") && s == "" {
		return &cli.UsageError{Problem: "--schema: " + sanitize.Quote(s) + " is not a schema of your own",
			Fix: "name the schema of the application's tables"}
	}
	return cmp.Or(
		given.requires("schema", "grant", "add --grant read, write or migrate"),
		given.requires("store", "secret", "add --secret to create a secret"))
}

// setUpRun is one run of setup.
type setUpRun struct {
	*invocation             // as who makes the service principal ready
	principal   *invocation // as the service principal
	client      *cli.Client
	bearer      credential.Secret
	clientID    string
	changed     bool
}

// setUp makes a service principal ready: role, grants, secret, and a login.
func setUp(ctx context.Context, c *invocation) error {
	clientID := strings.ToLower(strings.TrimSpace(c.given.get("for")))
	if c.conf.Native() {
		return &cli.UsageError{Problem: c.conf.Auth.Source.String() + " is native: setup signs in to the workspace",
			Fix: "choose another authentication type with --auth"}
	}
	if c.conf.Instance.Value != "" {
		return &cli.UsageError{Problem: c.conf.Target().Source.String() + " names an instance; setup is for an endpoint of Lakebase Autoscaling",
			Fix: "name its endpoint with --endpoint; or run in its database: " + cli.CreateRoleSQL(clientID, exchange.RoleServicePrincipal)}
	}
	if c.conf.User.Value == clientID && c.conf.ClientID.Value != clientID { // PGUSER is the service principal's
		c.conf.User = config.Value[string]{}
	}
	s := &setUpRun{invocation: c, principal: c.as(clientID), clientID: clientID}
	var err error
	if s.client, err = c.Client(c.conf, c.Keychain(c.conf), c.log, s.progress); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.createRole, s.grant, s.createSecret, s.login} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if !s.changed {
		s.log.Progress("nothing to change for " + clientID)
	}
	return nil
}

// as returns an invocation as the service principal with its stored secret.
func (c *invocation) as(clientID string) *invocation {
	p := *c
	id := config.Value[string]{Value: clientID, Source: config.Source{Origin: config.FromOption, Name: "--for"}}
	p.conf.ClientID, p.conf.User, p.conf.Auth = id, id, config.Value[string]{Value: auth.AuthM2M, Source: id.Source}
	p.conf.Secret, p.conf.DatabricksProfile = config.SecretSource{}, config.Value[string]{}
	p.conf.Wait.Value = config.WaitAlways
	return &p
}

// do makes a change and reports it, or prints in a dry run the lines that describe it.
func (s *setUpRun) do(lines []string, change func() error, report ...string) (err error) {
	s.changed = true
	if s.given.has("dry-run") {
		for _, line := range lines { // with names from the database
			if _, err = io.WriteString(s.ReportOutput(), sanitize.Escape(line)+"\n"); err != nil {
				return err
			}
		}
		return nil
	}
	if err = change(); err == nil {
		for _, line := range report {
			s.log.Progress(line)
		}
	}
	return err
}

// ifDenied replaces the hint of an error that is a missing permission in the workspace.
func ifDenied(err error, fix string) error {
	if exchange.IsKind(err, exchange.KindPermissionDenied) {
		err = &cli.HintedError{Err: err, Fix: fix}
	}
	return err
}

// createRole creates the role unless it exists.
func (s *setUpRun) createRole(ctx context.Context) error {
	token, err := s.client.WorkspaceToken(ctx)
	if err != nil {
		return err
	}
	s.bearer = token.Value
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout.Value)
	defer cancel()
	endpoint, err := lakebase.NewResolver(s.conf, s.client.API, s.client.Observer).Endpoint(ctx, s.bearer)
	if err != nil {
		return err
	}
	branch, _, _ := strings.Cut(endpoint.Name, "/endpoints/")
	role := setup.Role{API: s.client.API, Bearer: s.bearer, Branch: branch, ClientID: s.clientID}
	exists, err := role.Exists(ctx)
	if err == nil && !exists {
		err = s.do([]string{role.Call()}, func() error { return role.Create(ctx) }, "created the role "+s.clientID+" in "+branch)
	}
	return ifDenied(err, "ask the project's owner or a workspace admin to run this command, or to give you CAN MANAGE on the project; "+
		"or as the owner, in "+s.conf.Database.Value+": "+cli.CreateRoleSQL(s.clientID, exchange.RoleServicePrincipal))
}

// grant logs in to the database and grants what the role lacks.
func (s *setUpRun) grant(ctx context.Context) error {
	if !s.given.has("grant") {
		return nil
	}
	session, err := s.client.Open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.conf.WaitTimeout.Value)
	defer cancel()
	conn, err := s.client.Connector.Connect(ctx, session.Target, session.Token.Value, map[string]string{"application_name": program})
	if err != nil {
		return err
	}
	defer conn.Terminate()
	missing, err := setup.Missing(ctx, conn, s.clientID, cmp.Or(s.given.get("schema"), "public"), s.given.get("grant"))
	if len(missing) > 0 {
		failed := s.do(missing, func() error { return setup.Apply(ctx, conn, missing) }, missing...)
		err = cmp.Or(failed, err)
	}
	return err
}

// createSecret creates and stores a secret unless one that works is stored.
func (s *setUpRun) createSecret(ctx context.Context) error {
	if !s.given.has("secret") {
		return nil
	}
	p := s.principal
	stores, err := p.secretStores(ctx, p.conf.SecretAccount())
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.conf.Timeout.Value)
	defer cancel()
	items := p.itemsOf(ctx, p.conf.SecretAccount(), stores.Prompting)
	stored, err := rotate.StoredSecret(ctx, items, p.conf.Workspace.Value.HostPort(), s.clientID)
	if err == nil {
		_, err = exchange.RetryCall(limited, s.client.API.WorkspaceToken, s.clientID, stored)
	}
	if !errors.Is(err, fs.ErrNotExist) && !exchange.IsKind(err, exchange.KindInvalidClient) {
		return err
	}
	id, err := exchange.RetryCall(limited, s.client.API.ServicePrincipal, s.bearer, s.clientID)
	if err == nil {
		err = s.do([]string{"POST " + exchange.SecretsPath(id)}, func() error {
			return p.runRotation(ctx, rotate.Rotation{Manager: s.bearer, Principal: id})
		})
	}
	return ifDenied(err, "ask a workspace admin or a manager of the service principal to run this command; "+
		"or store a secret that they create with: "+program+" login"+p.conf.SameTarget())
}

// login logs in as the service principal, if its secret is stored.
func (s *setUpRun) login(ctx context.Context) error {
	if s.given.has("dry-run") {
		return nil
	}
	p := s.principal
	client, err := p.Client(p.conf, p.Keychain(p.conf).NonInteractive(), p.log, s.progress)
	if err == nil {
		_, err = client.Open(ctx)
	}
	if _, none := errors.AsType[*auth.NoSecretError](err); none && !s.given.has("secret") {
		s.log.Progress("no login as " + s.clientID + " was made: this machine has no secret of it")
		return nil
	}
	if err != nil {
		s.conf = p.conf // for the hint
		return err
	}
	s.log.Progress(s.clientID + " logged in to " + p.conf.Database.Value)
	return nil
}
