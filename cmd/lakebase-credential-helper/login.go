package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func loginCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "login", Category: categoryStored, Usage: "store a service principal's secret or a role's password, or sign in a user",
		UsageText: program + " login [options]",
		Description: `Reads the secret without echo, tests it with an exchange, and stores it in the OS
keychain for this host and client ID, or with --store file in a file of mode 0600.
With --profile it writes the target to the profiles file, which holds no secret.

--import takes host, client_id and client_secret from ~/.databrickscfg, section
--databricks-profile, else DATABRICKS_CONFIG_PROFILE, else --profile, else DEFAULT.

--user-login opens the browser and stores the refresh token. If the browser cannot
reach this machine, --no-browser prints the address to open and reads the address
that the browser ends up at from standard input.

--native stores the password of a Postgres role for a database host, after a login
with it. Such a password does not expire, and no workspace is asked.

Examples:
  lakebase-credential-helper login -p prod --host https://dbc-a1b2c3.cloud.databricks.com \
      --client-id 5f2b… --endpoint projects/shop/branches/production/endpoints/primary
  lakebase-credential-helper login -p me --user-login --host https://dbc-a1b2c3.cloud.databricks.com --endpoint shop
  lakebase-credential-helper login -p bi --native --pghost ep-… --user bi_reader`,
		Flags: flags([]config.Setting{
			{Option: "secret-stdin", Usage: "read the secret from standard input"},
			{Option: "secret-file", Value: "PATH", Usage: "read the secret from this file"},
			{Option: "import", Usage: "take host, client ID and secret from ~/.databrickscfg"},
			{Option: "remove-plaintext", Usage: "after --import, remove the secret's line from that file"},
			{Option: "user-login", Usage: "sign in as a user, with a browser"},
			{Option: "no-browser", Usage: "with --user-login: print the address to open"},
			{Option: "native", Usage: "store the password of the Postgres role --user for --pghost"},
			{Option: "store", Value: "STORE", Usage: "where to store it: keychain, file", Default: storeKeychain, Words: []string{storeKeychain, storeFile}},
			{Option: "no-verify", Usage: "store a secret without an exchange, a password without a login; sign in a user without asking for a database token"},
		}, ofStart, "client-secret-file", "native-password-file", "read-only", "pooled", "ttl", "min-ttl"),
		Action: c.action(func(given options, in *config.Input) error {
			if err := checkLogin(given, in); err != nil {
				return err
			}
			return importSection(c, in)
		}, login),
	}
}

// Values of --store.
const (
	storeKeychain = "keychain"
	storeFile     = "file"
)

// checkLogin checks login's own options before the configuration is resolved.
func checkLogin(given options, in *config.Input) error {
	in.NewProfile, in.NoEndpoint = true, true
	const leaveOut = "leave one of them out"
	for option, authType := range map[string]string{"user-login": auth.AuthBrowser, "native": auth.AuthNative, "import": auth.AuthM2M} {
		if !given.has(option) {
			continue
		}
		if a := given.get("auth"); a != "" && strings.TrimSpace(a) != authType {
			return &cli.UsageError{Problem: "--" + option + " cannot be used with --auth " + sanitize.Line(a), Fix: leaveOut}
		}
		in.Options = maps.Clone(in.Options)
		in.Options["auth"] = []string{authType}
	}
	return cmp.Or(
		given.requires("no-browser", "user-login", "add --user-login to sign in as a user"),
		given.conflict("user-login", "use --user-login for a user, or a client ID and secret for a service principal",
			"client-id", "secret-stdin", "secret-file", "import"),
		given.conflict("native", leaveOut, "user-login", "import"),
		given.conflict("secret-file", leaveOut, "secret-stdin", "import"),
		given.conflict("secret-stdin", leaveOut, "import"),
		given.requires("remove-plaintext", "import", "add --import to take the secret from ~/.databrickscfg"))
}

// login reads a secret, tests it, stores it and writes the profile, in this order: a
// stored secret works, and a profile names a stored one.
func login(ctx context.Context, c *invocation) error {
	if c.given.has("user-login") {
		return userLogin(ctx, c)
	}
	if err := c.requireServicePrincipal(); err != nil {
		return err
	}
	if err := c.checkProfile(); err != nil {
		return err
	}
	secret, err := c.readSecret()
	if err != nil {
		return err
	}
	stores, err := c.secretStores(ctx, c.conf.SecretAccount())
	if err != nil {
		return err
	}
	if secret.IsZero() {
		if secret, err = c.typeSecret(); err != nil {
			return err
		}
	}
	c.progress.SetStatus("waiting for another login or rotate of this secret") // of several logins, the last one wins
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	unlock, ok := stores.Cache(c.log, nil).WaitLock(limited, c.rotateLock())
	if !ok {
		return busy("stored")
	}
	defer unlock()
	minted := map[credential.Key]tokencache.Entry{}
	if !c.given.has("no-verify") {
		key, e, err := c.verifySecret(ctx, secret)
		if err != nil {
			return err
		}
		minted[key] = e
	}
	host, clientID := c.conf.Workspace.Value.HostPort(), c.conf.ClientID.Value
	done := fmt.Sprintf("stored the secret of %s for %s in ", clientID, host)
	if c.conf.Native() {
		done = fmt.Sprintf("stored the password of %s for %s in ", sanitize.Line(c.conf.User.Value), c.conf.PGHostPort())
	}
	err = c.save(ctx, stores, c.conf.SecretAccount(), clientID, secret, minted, done)
	if err != nil || c.conf.Native() {
		return err
	}
	expires, _ := rotate.StoredLifetime(ctx, c.itemsOf(ctx, c.conf.SecretAccount(), stores.Index), host, clientID)
	c.warnExpiry(host, clientID, expires) // known for one that a rotate created
	return c.removePlaintext(ctx)
}

// save stores the secret or refresh token of principal, replaces the tokens of the login
// before, and writes the profile. On a terminal it logs done with the secret's place.
func (c *invocation) save(ctx context.Context, stores cli.TokenStores, account, principal string, secret credential.Secret,
	minted map[credential.Key]tokencache.Entry, done string) error {
	files, where, limit := c.SecretFiles(), "the keychain", time.Minute
	var err error
	c.progress.SetStatus("storing the secret")
	if c.toFile() {
		where, err = files.Path(account), files.Set(ctx, account, secret)
		limit = time.Second // the keychain may be the reason for the file
	} else if err = stores.Prompting.Set(ctx, account, secret); err == nil {
		_, err = files.Remove(account) // it would be used in place of the keychain
	}
	if err != nil {
		return err
	}
	// From every store: another --cache might find them. What is left expires within an hour.
	host := c.conf.Workspace.Value.HostPort()
	forget, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = stores.Forget(forget, func(d tokencache.Description) bool { return d.Host == host && d.ClientID == principal })
	if err != nil {
		c.log.Note("deleting the tokens of the earlier login: %v", err)
	}
	cache := stores.Cache(c.log, nil)
	for key, e := range minted {
		if !e.Token.Value.IsZero() {
			cache.Save(ctx, key, e)
		}
	}
	if err = c.writeProfile(ctx, where); err == nil && cli.Terminal(c.Stderr) {
		c.log.Progress(done + where)
	}
	return err
}

// requireServicePrincipal rejects an identity that has no secret to store.
func (c *invocation) requireServicePrincipal() error {
	stated, signIn := c.conf.Auth, program+" login --user-login"+c.conf.SameTarget()
	switch {
	case stated.Value == auth.AuthBrowser:
		return &cli.UsageError{Problem: stated.Source.String() + " is " + stated.Value + ": a user has no secret to store",
			Fix: "sign in with: " + signIn}
	case c.conf.Native():
	case stated.Value != "" && stated.Value != auth.AuthM2M:
		return &cli.UsageError{Problem: stated.Source.String() + " selects " + stated.Value + ", for which login has nothing to store",
			Fix: fmt.Sprintf("add a section [%s] with auth = %s to %s, or store a secret with --auth %s",
				cmp.Or(c.conf.Profile.Value, "NAME"), stated.Value, c.ProfilesPath(), auth.AuthM2M)}
	case c.conf.ClientID.Value == "":
		return &cli.UsageError{Problem: "--client-id: not given, and DATABRICKS_CLIENT_ID not set",
			Fix: "give one of them for a service principal, or sign in as a user with: " + signIn}
	}
	return nil
}

func (c *invocation) toFile() bool { return c.given.get("store") == storeFile }

// secretStores returns the stores, or an error if --store cannot be used, before the user
// types a secret or signs in. On a terminal a locked keychain may show its dialog.
func (c *invocation) secretStores(ctx context.Context, account string) (cli.TokenStores, error) {
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	switch {
	case err != nil:
		return stores, err
	case c.toFile():
		return stores, c.SecretFiles().Ready()
	case cli.Terminal(c.Stdin):
		_, err = stores.Prompting.Get(ctx, account)
	default:
		_, err = stores.Index.Get(ctx, account)
	}
	if errors.Is(err, keychain.ErrNotFound) {
		err = nil
	}
	return stores, err
}

// verifySecret signs in with the secret, or logs in with a native password. It gets a
// database token if the target is known.
func (c *invocation) verifySecret(ctx context.Context, secret credential.Secret) (key credential.Key, e tokencache.Entry, err error) {
	conf := c.conf
	conf.Secret, conf.Wait.Value = config.SecretSource{Kind: config.SecretInEnvironment, Text: secret}, config.WaitAlways
	client, err := c.Client(conf, c.Keychain(conf), c.log, c.progress)
	if err != nil {
		return key, e, err
	}
	if conf.Native() {
		_, err = client.Open(ctx)
		return key, e, err
	}
	return client.Mint(ctx)
}

// checkProfile returns why the profile could not be written, before anything is stored.
func (c *invocation) checkProfile() error {
	if c.conf.Profile.Value == "" {
		return nil
	}
	path := c.ProfilesPath()
	old, err := securefile.ReadProfile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := c.withProfile(old)
	if err != nil {
		return err
	}
	if err := securefile.CheckWritable(path, len(text)); err != nil {
		return profileError("the profile cannot be written, and nothing was stored", err)
	}
	return nil
}

// writeProfile writes the profile, if one is named. where is the place of the secret.
func (c *invocation) writeProfile(ctx context.Context, where string) error {
	if c.conf.Profile.Value == "" {
		return nil
	}
	if err := securefile.UpdateFile(context.WithoutCancel(ctx), c.ProfilesPath(), c.withProfile); err != nil {
		return profileError("the secret was stored in "+where+", but the profile could not be written", err)
	}
	return nil
}

// withProfile returns a profiles file with the profile in it.
func (c *invocation) withProfile(old []byte) ([]byte, error) {
	profiles, err := config.ParseProfiles(c.ProfilesPath(), old)
	if err != nil {
		return nil, err
	}
	return profiles.Set(c.conf.Profile.Value, c.conf.ProfileKeys())
}

// profileError reports that the profile cannot be written.
func profileError(problem string, err error) error {
	hint := "name another file in LAKEBASE_CONFIG_FILE, or leave out --profile"
	if _, own := cli.Describe(err, config.Config{}); own != "" {
		hint = own + "; or " + hint
	}
	return &cli.HintedError{Err: fmt.Errorf("%s: %w", problem, err), Fix: hint}
}

// busy is the error of a command that another one of the same secret keeps from running.
func busy(done string) error {
	return &cli.HintedError{Err: errors.New("another rotate or login of this secret is running; nothing was " + done),
		Fix: "wait until it has ended, then run this command again"}
}
