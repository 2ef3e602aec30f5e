package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func rotateCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "rotate", Category: categoryStored, Usage: "replace the stored secret with a new one",
		UsageText: program + " rotate [options]",
		Description: `Creates a new secret, signs in with it, stores it in place of the old one, and
deletes the old one if an earlier rotate created it or --delete-id names it. If it is
interrupted, the stored secret works, and the next rotate deletes what is left.

Examples:
  lakebase-credential-helper rotate -p prod --lifetime 90d
  lakebase-credential-helper rotate -p prod --delete-only --delete-id 8c1f…`,
		Flags: flags([]config.Setting{
			{Option: "lifetime", Value: "TIME", Usage: "lifetime of the new secret, such as 90d, at most 730d", Default: "the server's"},
			{Option: "keep-old", Value: "TIME", Usage: "keep the old one for this long; the first rotate after that deletes it"},
			{Option: "delete-id", Value: "ID", Usage: "delete this secret too"},
			{Option: "delete-only", Usage: "create no secret: delete those that are due, and --delete-id"},
		}, ofStart, "client-secret-file", "native-password-file", "endpoint", "instance", "credential", "read-only", "pooled", "pghost", "pgport", "database", "user",
			"sslmode", "sslrootcert", "ttl", "min-ttl", "cache"),
		Action: c.action(checkRotate, rotateSecret),
	}
}

// maxLifetime is from Databricks, "Authorize service principal access with OAuth".
const maxLifetime = 730 * 24 * time.Hour

// checkRotate checks rotate's own options before the configuration is resolved.
func checkRotate(given options, in *config.Input) error {
	in.NoEndpoint = true
	const fix = "leave it out: --delete-only creates no secret"
	return cmp.Or(given.conflict("lifetime", fix, "delete-only"), given.conflict("keep-old", fix, "delete-only"))
}

// rotateSecret replaces the stored secret by a new one. It rejects a target without a
// service principal.
func rotateSecret(ctx context.Context, c *invocation) (err error) {
	var r rotate.Rotation
	stated := c.conf.Auth
	problem := stated.Source.String() + " is " + stated.Value + ": only a service principal has a secret to rotate"
	switch {
	case c.conf.Native():
		return &cli.UsageError{Problem: problem,
			Fix: "change the role's password in the database, and then store it with: " + program + " login" + c.conf.SameTarget()}
	case stated.Given() && !c.conf.AuthType().ClientID:
		return &cli.UsageError{Problem: problem,
			Fix: "a user's login renews itself; end it with: " + program + " logout" + c.conf.SameTarget()}
	case c.conf.ClientID.Value == "":
		return &cli.UsageError{Problem: "no client ID given, and only a service principal has a secret to rotate",
			Fix: "name the service principal with --client-id (DATABRICKS_CLIENT_ID) or a profile"}
	}
	r.DeleteID, r.DeleteOnly = strings.TrimSpace(c.given.get("delete-id")), c.given.has("delete-only")
	if r.Lifetime, err = c.given.duration("lifetime", time.Hour, maxLifetime); err != nil {
		return err
	}
	if r.KeepOld, err = c.given.duration("keep-old", time.Second, maxLifetime); err != nil {
		return err
	}
	if c.given.has("delete-id") && r.DeleteID == "" {
		return &config.Error{Name: "--delete-id", Problem: "is empty", Fix: "give a secret's ID, as rotate and the workspace's settings show it"}
	}
	if c.conf.Secret.Kind != config.SecretInKeychain {
		c.log.Warn("%s is set and overrides the stored secret, which is the one that rotate replaces", c.conf.Secret.Source)
	}
	return c.runRotation(ctx, r)
}

// runRotation rotates the secret of the configuration as r says, unless another process
// rotates or stores it, and prints the result.
func (c *invocation) runRotation(ctx context.Context, r rotate.Rotation) error {
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	if err != nil {
		return err
	}
	unlock, ok := stores.Cache(c.log, nil).TryLock(c.rotateLock())
	if !ok {
		return busy("done")
	}
	defer unlock()
	if r.API, err = c.Workspace(c.conf); err != nil {
		return err
	}
	r.Host, r.ClientID, r.Timeout, r.Now = c.conf.Workspace.Value.HostPort(), c.conf.ClientID.Value, c.conf.Timeout.Value, time.Now
	r.Store, r.Observer = c.itemsOf(ctx, c.conf.SecretAccount(), stores.Prompting), c.Observer(c.conf, c.log, c.progress)
	result, err := r.Run(ctx)
	c.printRotation(result, err)
	return err
}

// rotateLock returns the name of the secret's lock file, which reveals nothing about it.
func (c *invocation) rotateLock() string {
	sum := sha256.Sum256([]byte(c.conf.SecretAccount()))
	return fmt.Sprintf("rotate-%x.lock", sum[:16])
}

// printRotation prints what the user has to know or to do.
func (c *invocation) printRotation(result rotate.Result, err error) {
	if result.New.ID != "" {
		c.log.Progress("stored a new secret: " + describeSecret(result.New))
	}
	tooMany := exchange.IsKind(err, exchange.KindTooManySecrets)
	switch {
	case tooMany:
		c.log.Warn("the service principal has these secrets:")
	case result.OldUnknown && len(result.Unknown) > 0:
		c.log.Warn("the old secret was not deleted, because its ID is not known here. It is one of these:")
	case len(result.Orphans) > 0:
		c.log.Warn("one of these may be a secret that an interrupted rotate requested:")
	default:
		return
	}
	for _, s := range result.Unknown {
		text := describeSecret(s)
		if slices.Contains(result.Orphans, s.ID) {
			text += ", created while an interrupted rotate waited for its new secret"
		}
		c.log.Warn("%s", text)
	}
	if tooMany { // the error has its own hint
		return
	}
	c.log.Hint("delete a secret that is no longer used with: %s rotate%s --delete-only --delete-id ID", program, c.conf.SameTarget())
}

// describeSecret is one line about a secret, without its value.
func describeSecret(s exchange.ClientSecret) string {
	date := func(t time.Time) string {
		if t.IsZero() {
			return "unknown"
		}
		return t.UTC().Format(time.RFC3339)
	}
	text := fmt.Sprintf("%s, created %s, expires %s", s.ID, date(s.CreatedAt), date(s.ExpiresAt))
	if s.Status != "" {
		text += ", " + sanitize.Line(s.Status)
	}
	return text
}

// itemsOf returns where the secret of account is, or is to be stored: a file takes
// precedence over index, the keychain, even one that cannot be used.
func (c *invocation) itemsOf(ctx context.Context, account string, index keychain.Index) rotate.Store {
	files := c.SecretFiles()
	if _, err := files.Get(ctx, account); c.toFile() || !errors.Is(err, fs.ErrNotExist) {
		return files
	}
	return index
}

// warnExpiry warns of a secret that expires within rotate.RenewBefore.
func (c *invocation) warnExpiry(host, clientID string, expires time.Time) {
	if left := time.Until(expires); !expires.IsZero() && left < rotate.RenewBefore {
		c.log.Warn("the secret of %s for %s %s; make a new one with: %s rotate", clientID, host, rotate.DescribeLifetime(left), program)
	}
}
