package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/auth"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func listCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "list", Category: categoryStored, Usage: "show what is stored, without secrets",
		UsageText: program + " list [--json]",
		Description: `Lists the secrets by host and client ID, the users who have signed in, the cached
tokens, and the profiles.`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}}, []config.Category{config.CategoryTarget, config.CategoryAuth, config.CategoryToken,
			config.CategoryConnection, config.CategoryLogin, config.CategoryCommand, config.CategoryService}),
		Action: c.action(func(_ options, in *config.Input) error { in.NoTarget = true; return nil }, list),
	}
}

// listing is the document that list prints. Nothing in it is secret.
type listing struct {
	Version  int             `json:"version"`
	Secrets  []storedSecret  `json:"secrets"`
	Logins   []storedLogin   `json:"people"`
	Tokens   []cachedToken   `json:"tokens"`
	Profiles []listedProfile `json:"profiles"`
}

type storedSecret struct {
	Host      string             `json:"host"`
	ClientID  string             `json:"client_id"`
	Store     string             `json:"store"`
	ExpiresAt *time.Time         `json:"expires_at,omitempty"` // known for a secret that rotate created
	Scheduled []rotate.Scheduled `json:"due,omitempty"`        // older ones that a later rotate deletes
}

// storedLogin is the login of a user.
type storedLogin struct {
	Host  string `json:"host"`
	User  string `json:"user"`
	Store string `json:"store"`
}

// cachedToken is a token for a database or the workspace.
type cachedToken struct {
	tokencache.Description
	Kind  string `json:"kind"`  // config.CredentialDatabase, config.CredentialWorkspace
	Store string `json:"store"` // a value of --cache
}

type listedProfile struct {
	Name     string `json:"name"`
	Host     string `json:"host"`
	ClientID string `json:"client_id"`
	Auth     string `json:"auth,omitempty"`
	User     string `json:"user,omitempty"` // without a client ID: the user who signs in
	Endpoint string `json:"endpoint"`
	Instance string `json:"instance,omitempty"`
}

func list(ctx context.Context, c *invocation) error {
	l := listing{Version: 1, Secrets: []storedSecret{}, Logins: []storedLogin{}, Tokens: []cachedToken{}, Profiles: []listedProfile{}}
	profiles, err := c.Profiles()
	if err != nil {
		return err
	}
	l.addProfiles(profiles)
	files, unusable, err := c.SecretFiles().List()
	if err != nil {
		return err
	}
	for _, err := range unusable {
		message, hint := cli.Describe(err, config.Config{})
		c.log.Warn("%s", message)
		if hint != "" {
			c.log.Hint("%s", hint)
		}
	}
	for _, a := range files {
		l.add(a, storeFile)
	}
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	if err != nil {
		return err
	}
	keychainErr := c.listKeychain(ctx, &l, stores)
	if keychainErr != nil && !errors.Is(keychainErr, keychain.ErrAbsent) {
		return keychainErr
	}
	c.addLifetimes(ctx, &l, stores)
	l.addTokens(ctx, stores)
	if len(files)+len(unusable)+len(l.Secrets)+len(l.Logins)+len(l.Tokens) == 0 && (len(l.Profiles) == 0 || keychainErr != nil) {
		c.logNothing(keychainErr)
	}
	if c.given.has("json") {
		return printJSON(c.ReportOutput(), l)
	}
	return l.print(c.ReportOutput(), time.Now())
}

func (l *listing) addProfiles(p *config.Profiles) {
	if p == nil {
		return
	}
	for _, name := range p.Names() {
		listed := listedProfile{Name: name, Host: p.Value(name, "host"), ClientID: p.Value(name, "client_id"), Auth: p.Value(name, "auth"),
			Endpoint: p.Value(name, "endpoint"), Instance: p.Value(name, "instance")}
		if listed.ClientID == "" {
			listed.User = p.Value(name, "user")
		}
		l.Profiles = append(l.Profiles, listed)
	}
}

// add adds the secret or login of account.
func (l *listing) add(account, store string) {
	if host, user, ok := config.SplitRefreshAccount(account); ok {
		l.Logins = append(l.Logins, storedLogin{Host: host, User: user, Store: store})
	}
	if host, id, ok := config.SplitSecretAccount(account); ok {
		l.Secrets = append(l.Secrets, storedSecret{Host: host, ClientID: id, Store: store})
	}
}

// addTokens adds the tokens of the store in use that can be read.
func (l *listing) addTokens(ctx context.Context, stores cli.TokenStores) {
	store := stores.Store()
	if store == nil {
		return
	}
	ids, _ := store.List(ctx)
	for _, id := range ids {
		token := cachedToken{Kind: config.CredentialDatabase, Store: stores.InUse}
		var err error
		if token.Description, err = tokencache.Describe(ctx, store, id); err != nil {
			continue
		}
		if token.Endpoint == "" && token.Instance == "" {
			token.Kind = config.CredentialWorkspace
		}
		l.Tokens = append(l.Tokens, token)
	}
}

// listKeychain adds what the keychain holds. An account is in the index before its item
// is stored, so one without an item is left out.
func (c *invocation) listKeychain(ctx context.Context, l *listing, stores cli.TokenStores) error {
	accounts, complete, err := c.storedItems(ctx, stores)
	if err != nil {
		return err
	}
	if !complete && len(accounts) > 0 {
		c.warnIncomplete("secrets that no profile names, and cached tokens, are not listed")
	}
	for _, a := range accounts {
		_, _, secret := config.SplitSecretAccount(a)
		_, _, login := config.SplitRefreshAccount(a)
		if !secret && !login {
			continue
		}
		if _, err := stores.Items.Get(ctx, a); !errors.Is(err, keychain.ErrNotFound) {
			l.add(a, storeKeychain)
		}
	}
	return nil
}

// addLifetimes adds what is known about the expiry of each secret.
func (c *invocation) addLifetimes(ctx context.Context, l *listing, stores cli.TokenStores) {
	for i := range l.Secrets {
		s := &l.Secrets[i]
		v := c.secretStore(stores, s.Host, s.ClientID)
		if (v.files != nil) != (s.Store == storeFile) {
			continue // a file takes precedence, and the keychain's secret is not used
		}
		life := v.lifetime(ctx)
		s.Scheduled = life.scheduled
		if !life.expires.IsZero() {
			s.ExpiresAt = &life.expires
			c.warnExpiry(s.Host, s.ClientID, life.expires)
		}
	}
}

// print prints the listing as tables; empty ones are left out.
func (l *listing) print(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	var old [][]string
	writeTable(w, "SECRET OF\tHOST\tSTORE\tEXPIRES", l.Secrets, func(s storedSecret) []string {
		for _, o := range s.Scheduled {
			when := "at once"
			if !o.After.IsZero() {
				when = "after " + o.After.UTC().Format(time.RFC3339)
			}
			old = append(old, []string{o.ID, s.ClientID, s.Host, when})
		}
		expires := "unknown"
		if s.ExpiresAt != nil {
			expires = strings.TrimPrefix(rotate.DescribeLifetime(s.ExpiresAt.Sub(now)), "expires ")
		}
		return []string{s.ClientID, s.Host, s.Store, expires}
	})
	writeTable(w, "OLD SECRET\tOF\tHOST\tDELETED BY THE NEXT ROTATE", old, func(cells []string) []string { return cells })
	writeTable(w, "LOGIN OF\tHOST\tSTORE", l.Logins, func(u storedLogin) []string { return []string{u.User, u.Host, u.Store} })
	writeTable(w, "TOKEN OF\tHOST\tENDPOINT\tSTORE\tEXPIRES", l.Tokens, func(t cachedToken) []string {
		target, expires := formatTarget(t.Endpoint, t.Instance, t.ReadOnly), "expired"
		if t.Kind == config.CredentialWorkspace {
			target = "(workspace)"
		}
		if left := t.ExpiresAt.Sub(now); left > 0 {
			expires = "in " + left.Round(time.Second).String()
		}
		return []string{t.ClientID, t.Host, target, t.Store, expires}
	})
	writeTable(w, "PROFILE\tHOST\tCLIENT\tENDPOINT", l.Profiles, func(p listedProfile) []string {
		return []string{p.Name, p.Host, p.ClientID + p.User, formatTarget(p.Endpoint, p.Instance, false)}
	})
	return w.Flush()
}

// writeTable writes a line for each item below a header, and nothing without items.
func writeTable[T any](w io.Writer, header string, items []T, cells func(T) []string) {
	if len(items) > 0 {
		fmt.Fprintln(w, header)
	}
	for _, item := range items {
		line := cells(item)
		for i := range line {
			line[i] = sanitize.Escape(line[i])
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
}

// formatTarget returns the cell of an endpoint or instance.
func formatTarget(endpoint, instance string, readOnly bool) string {
	if instance != "" {
		endpoint = strings.TrimSpace(endpoint + " " + credential.InstancePrefix + instance)
	}
	if readOnly {
		endpoint += " (read-only)"
	}
	return endpoint
}

// printJSON prints v as one line of JSON that is safe on a terminal.
func printJSON(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, escapeJSON(string(text))+"\n")
	return err
}

// escapeJSON escapes unsafe characters, which JSON allows.
func escapeJSON(text string) string {
	var out strings.Builder
	for _, r := range text {
		if !sanitize.IsUnsafe(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

func logoutCommand(c *invocation) *urfave.Command {
	return &urfave.Command{
		Name: "logout", Category: categoryStored, Usage: "delete a stored secret or login, and its tokens",
		UsageText: program + " logout [options] | --all",
		Description: `Deletes the secret of the target's host and client ID, and every token cached for
them. Without a client ID it deletes the login of the user who signed in at the host.
The profile stays: it holds no secret.`,
		Flags: flags([]config.Setting{{Option: "all", Usage: "delete everything that is stored"}},
			ofStart, "client-secret-file", "credential", "read-only", "ttl", "min-ttl"),
		Action: c.action(checkLogout, logout),
	}
}

// checkLogout rejects --all with options that name a target. Variables may name one.
func checkLogout(given options, in *config.Input) error {
	in.NoEndpoint, in.NoTarget = true, given.has("all")
	targets := []string{"profile"}
	for _, s := range config.Settings() {
		if s.Target {
			targets = append(targets, s.Option)
		}
	}
	return given.conflict("all", "leave --all out to delete what is stored for that target alone", targets...)
}

// logout deletes a target's secret or login with its tokens, or everything stored.
func logout(ctx context.Context, c *invocation) error {
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	if err != nil {
		return err
	}
	if c.given.has("all") {
		return c.removeAll(ctx, stores)
	}
	l := &logoutScope{invocation: c}
	if err := l.resolve(ctx, stores); err != nil {
		return err
	}
	removed, unlisted := false, false
	if len(l.accounts) > 0 {
		account := l.accounts[0]
		if l.isUser { // a process that refreshes the login would store it again
			ctx, cancel := context.WithTimeout(ctx, 2*refreshLockTimeout) // Lock takes half of it
			defer cancel()
			defer stores.Cache(c.log, nil).Lock(ctx, auth.RefreshLock(account))()
		}
		if removed, err = l.SecretFiles().Remove(account); err != nil {
			return err
		}
		if _, complete, err := stores.Index().All(ctx); err == nil && !complete {
			_, err = stores.Items.Get(ctx, account)
			unlisted = err == nil
		}
	}
	if err := stores.Forget(ctx, l.match); err != nil {
		return err
	}
	err = stores.Index().Remove(ctx, l.accounts...)
	switch {
	case removed && errors.Is(err, keychain.ErrAbsent): // the file was all that such a machine can have
	case errors.Is(err, keychain.ErrNotFound), errors.Is(err, keychain.ErrAbsent) && stores.InUse != config.CacheKeychain:
	case err != nil:
		return err
	case unlisted:
		l.warnIncomplete("cached tokens may be left in it")
	}
	return nil
}

// refreshLockTimeout bounds the wait for a process that is refreshing the login.
const refreshLockTimeout = 10 * time.Second

// removeAll deletes everything stored: without a keychain, what is in files and the kernel.
func (c *invocation) removeAll(ctx context.Context, stores cli.TokenStores) error {
	accounts, complete, keychainErr := c.storedItems(ctx, stores)
	found := len(accounts) > 0
	for _, s := range stores.All {
		ids, _ := s.List(ctx)
		found = found || len(ids) > 0
	}
	removed, err := c.SecretFiles().RemoveAll()
	if err != nil {
		return err
	}
	if err := stores.Forget(ctx, nil); err != nil {
		return err
	}
	switch {
	case errors.Is(keychainErr, keychain.ErrAbsent):
	case keychainErr != nil:
		return keychainErr
	default:
		if err := stores.Index().Remove(ctx, accounts...); err != nil {
			return err
		}
		if !complete && len(accounts) > 0 {
			c.warnIncomplete("secrets that no profile names, and cached tokens, may be left in it")
		}
	}
	if !removed && !found {
		c.logNothing(keychainErr)
	}
	return nil
}

// logNothing logs that nothing is stored, and why the keychain was not asked.
func (c *invocation) logNothing(keychainErr error) {
	text := "nothing is stored"
	if keychainErr != nil {
		text += "; " + keychainErr.Error()
	}
	c.log.Progress(text)
}

// warnIncomplete warns that the keychain's index is gone, and it cannot be searched.
func (c *invocation) warnIncomplete(left string) {
	c.log.Warn("the keychain's list of what is stored is missing: %s", left)
	c.log.Hint("look for items of %q with the keychain program of the system", keychain.Service)
}

// storedItems returns the accounts of what the keychain holds. Those that profiles name
// are looked up if they may be the only ones known; others may exist unless complete.
func (c *invocation) storedItems(ctx context.Context, stores cli.TokenStores) (all []string, complete bool, err error) {
	all, complete, err = stores.Index().All(ctx)
	if err != nil || complete {
		return all, complete, err
	}
	profiles, err := c.Profiles()
	if err != nil || profiles == nil {
		return all, false, err
	}
	for _, name := range profiles.Names() {
		workspace, err := config.ParseWorkspace(profiles.Value(name, "host"), config.Source{})
		if err != nil {
			continue
		}
		host, id, user := workspace.HostPort(), profiles.Value(name, "client_id"), profiles.Value(name, "user")
		for _, a := range []string{config.SecretAccount(host, id), config.RecordAccount(host, id), config.RefreshAccount(host, user)} {
			if _, err := stores.Items.Get(ctx, a); err == nil && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all, false, nil
}

// logoutScope is what a logout deletes.
type logoutScope struct {
	*invocation
	isUser   bool     // a user's login, not a service principal's secret
	others   []string // other users who have signed in at the host
	accounts []string // keychain accounts, listed in its index or not
}

// resolve determines whose secret or login is deleted.
func (l *logoutScope) resolve(ctx context.Context, stores cli.TokenStores) error {
	c, host := l.conf, l.conf.Workspace.Value.HostPort()
	switch {
	case c.ClientID.Value != "":
		l.accounts = []string{c.SecretAccount(), config.RecordAccount(c.Workspace.Value.HostPort(), c.ClientID.Value)}
		return nil
	case c.Auth.Value != "" && c.Auth.Value != auth.AuthBrowser: // it has tokens alone
		return nil
	}
	l.isUser = true
	users, err := l.users(ctx, stores)
	if err != nil {
		return err
	}
	user := c.User.Value
	switch {
	case user != "" && (namesUser(c.User) || slices.Contains(users, user)):
	case len(users) == 1: // a PGUSER of the environment may be a group's role
		user = users[0]
	case len(users) > 1:
		return &auth.NoLoginError{Host: host, Others: users}
	default:
		return nil
	}
	l.others = slices.DeleteFunc(users, func(u string) bool { return u == user })
	l.accounts = []string{config.RefreshAccount(host, user)}
	return nil
}

// users returns the users who have signed in at the target's host.
func (l *logoutScope) users(ctx context.Context, stores cli.TokenStores) ([]string, error) {
	accounts, err := cli.StoredAccounts(ctx, l.SecretFiles(), stores.Index())
	if err != nil && !errors.Is(err, keychain.ErrAbsent) {
		return nil, err
	}
	var users []string
	for _, a := range accounts {
		if host, user, ok := config.SplitRefreshAccount(a); ok && host == l.conf.Workspace.Value.HostPort() {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// match reports whether a cached token belongs to the user or client that logs out. A
// user's token may be for a group's role, so any that is not another user's counts.
func (l *logoutScope) match(d tokencache.Description) bool {
	switch {
	case d.Host != l.conf.Workspace.Value.HostPort():
		return false
	case l.isUser:
		return d.Identity == auth.AuthBrowser && !slices.Contains(l.others, d.ClientID)
	case l.conf.ClientID.Value != "":
		return d.ClientID == l.conf.ClientID.Value
	}
	return d.Identity == l.conf.Auth.Value
}
