package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
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
		Description: `Lists the secrets by host and client ID, the users who have signed in, the roles with
a password, the cached tokens, and the profiles.`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}}, []config.Category{
			config.CategoryTarget, config.CategoryAuth, config.CategoryToken, config.CategoryConnection,
			config.CategoryLogin, config.CategoryCommand, config.CategoryService,
		}),
		Action: c.action(func(_ options, in *config.Input) error { in.NoTarget = true; return nil }, list),
	}
}

// listing is the document that list prints. Nothing in it is secret.
type listing struct {
	Version   int             `json:"version"`
	Secrets   []storedItem    `json:"secrets"`
	Logins    []storedItem    `json:"people"`
	Passwords []storedItem    `json:"passwords"`
	Tokens    []cachedToken   `json:"tokens"`
	Profiles  []listedProfile `json:"profiles"`
}

// storedItem is where the secret of a service principal, the login of a user or the
// password of a role is stored.
type storedItem struct {
	config.Account
	Store     string             `json:"store"`
	ExpiresAt *time.Time         `json:"expires_at,omitempty"` // known for a secret that rotate created
	Scheduled []rotate.Scheduled `json:"due,omitempty"`        // older ones that a later rotate deletes
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
	l := listing{Version: 1, Secrets: []storedItem{}, Logins: []storedItem{}, Passwords: []storedItem{},
		Tokens: []cachedToken{}, Profiles: []listedProfile{}}
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
		account, _ := config.ParseAccount(a)
		c.addItem(ctx, &l, account, storeFile, c.SecretFiles())
	}
	stores, err := c.TokenStores(c.conf, c.Keychain(c.conf))
	if err != nil {
		return err
	}
	keychainErr := c.listKeychain(ctx, &l, stores)
	if keychainErr != nil && !errors.Is(keychainErr, keychain.ErrAbsent) {
		return keychainErr
	}
	l.addTokens(ctx, stores)
	found := len(unusable) + len(l.Secrets) + len(l.Logins) + len(l.Passwords) + len(l.Tokens)
	if found == 0 && (len(l.Profiles) == 0 || keychainErr != nil) {
		c.logNothing(keychainErr)
	}
	if c.given.has("json") {
		return printJSON(c.ReportOutput(), l)
	}
	return l.print(c.ReportOutput(), time.Now())
}

func (l *listing) addProfiles(p *config.Profiles) {
	for _, name := range p.Names() {
		listed := listedProfile{Name: name, Host: p.Value(name, "host"), ClientID: p.Value(name, "client_id"), Auth: p.Value(name, "auth"),
			Endpoint: p.Value(name, "endpoint"), Instance: p.Value(name, "instance")}
		if listed.ClientID == "" {
			listed.User = p.Value(name, "user")
		}
		l.Profiles = append(l.Profiles, listed)
	}
}

// addItem adds what items has stored for an account, and what is known about the expiry of
// a secret.
func (c *invocation) addItem(ctx context.Context, l *listing, account config.Account, store string, items rotate.Store) {
	item, kind := storedItem{Account: account, Store: store}, &l.Secrets
	switch {
	case account.User != "":
		kind = &l.Logins
	case account.Role != "":
		kind = &l.Passwords
	default:
		var expires time.Time
		expires, item.Scheduled = rotate.StoredLifetime(ctx, items, account.Host, account.ClientID)
		if !expires.IsZero() {
			item.ExpiresAt = &expires
			c.warnExpiry(account.Host, account.ClientID, expires)
		}
	}
	*kind = append(*kind, item)
}

// addTokens adds the tokens of the store in use that can be read.
func (l *listing) addTokens(ctx context.Context, stores cli.TokenStores) {
	store := stores.All[stores.InUse]
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
		account, ok := config.ParseAccount(a)
		if !ok {
			continue
		}
		if _, err := stores.Index.Get(ctx, a); !errors.Is(err, keychain.ErrNotFound) {
			c.addItem(ctx, l, account, storeKeychain, stores.Index)
		}
	}
	return nil
}

// print prints the listing as tables; empty ones are left out.
func (l *listing) print(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	var old [][]string
	writeTable(w, "SECRET OF\tHOST\tSTORE\tEXPIRES", l.Secrets, func(s storedItem) []string {
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
	writeTable(w, "LOGIN OF\tHOST\tSTORE", l.Logins, func(s storedItem) []string { return []string{s.User, s.Host, s.Store} })
	writeTable(w, "PASSWORD OF\tDATABASE HOST\tSTORE", l.Passwords, func(s storedItem) []string { return []string{s.Role, s.Host, s.Store} })
	writeTable(w, "TOKEN OF\tHOST\tENDPOINT\tSTORE\tEXPIRES", l.Tokens, func(t cachedToken) []string {
		target, expires := formatTarget(t.Endpoint, t.Instance), "expired"
		if t.ReadOnly {
			target += " (read-only)"
		}
		if t.Pooled {
			target += " (pooled)"
		}
		if t.Kind == config.CredentialWorkspace {
			target = "(workspace)"
		}
		if left := t.ExpiresAt.Sub(now); left > 0 {
			expires = "in " + left.Round(time.Second).String()
		}
		return []string{t.ClientID, t.Host, target, t.Store, expires}
	})
	writeTable(w, "PROFILE\tHOST\tCLIENT\tENDPOINT", l.Profiles, func(p listedProfile) []string {
		return []string{p.Name, p.Host, p.ClientID + p.User, formatTarget(p.Endpoint, p.Instance)}
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
func formatTarget(endpoint, instance string) string {
	if instance != "" {
		endpoint = strings.TrimSpace(endpoint + " " + credential.InstancePrefix + instance)
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
