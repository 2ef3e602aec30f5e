package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	urfave "github.com/urfave/cli/v2"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/rotate"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
	"github.com/lakebase-exec/lakebase-exec/internal/tokencache"
)

func listCommand(c *call) *urfave.Command {
	return &urfave.Command{
		Name: "list", Category: categoryStored, Usage: "show what is stored, without secrets",
		UsageText: program + " list [--json]",
		Description: `Lists the secrets by host and client ID, the users who have signed in, the cached
tokens, and the profiles. A token for the workspace, not for a database, has
(workspace) as its endpoint; in JSON its kind is workspace, else database.`,
		Flags: flags([]config.Setting{{Option: "json", Usage: "print one JSON document"}}, []config.Category{config.CategoryTarget, config.CategoryAuth, config.CategoryToken,
			config.CategoryConnection, config.CategoryLogin, config.CategoryCommand, config.CategoryService}),
		Action: c.action(func(_ map[string][]string, in *config.Input) error { in.NoTarget = true; return nil }, list),
	}
}

// listing is what list shows; nothing in it is secret.
type listing struct {
	Version  int             `json:"version"`
	Secrets  []storedSecret  `json:"secrets"`
	People   []storedLogin   `json:"people"`
	Tokens   []cachedToken   `json:"tokens"`
	Profiles []listedProfile `json:"profiles"`
}

type storedSecret struct {
	Host     string `json:"host"`
	ClientID string `json:"client_id"`
	Store    string `json:"store"`
	// ExpiresAt is told where the workspace said it when the secret was made.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// Due are older ones that the next rotate after their time deletes.
	Due []rotate.Scheduled `json:"due,omitempty"`
}

// storedLogin is a person who has signed in.
type storedLogin struct {
	Host  string `json:"host"`
	User  string `json:"user"`
	Store string `json:"store"`
}

// cachedToken says what the token opens, too: a database, or with neither endpoint
// nor instance the workspace.
type cachedToken struct {
	tokencache.Description
	Kind  string `json:"kind"`  // config.CredentialDatabase, config.CredentialWorkspace
	Store string `json:"store"` // a word of --cache
}

type listedProfile struct {
	Name     string `json:"name"`
	Host     string `json:"host"`
	ClientID string `json:"client_id"`
	Auth     string `json:"auth,omitempty"`
	User     string `json:"user,omitempty"` // where a person signs in
	Endpoint string `json:"endpoint"`
	Instance string `json:"instance,omitempty"`
}

func list(ctx context.Context, c *call) error {
	l := listing{Version: 1, Secrets: []storedSecret{}, People: []storedLogin{}, Tokens: []cachedToken{}, Profiles: []listedProfile{}}
	profiles, err := c.Profiles()
	if err != nil {
		return err
	}
	if profiles != nil {
		for _, n := range profiles.Names() {
			l.profile(profiles, n)
		}
	}
	files, err := c.listFiles(&l)
	if err != nil {
		return err
	}
	chain := c.Keychain(c.conf)
	stores, err := c.TokenStores(c.conf, chain)
	if err != nil {
		return err
	}
	if err := c.listKeychain(ctx, &l, stores); err != nil && !(files && errors.Is(err, keychain.ErrAbsent)) {
		return err
	}
	c.lives(ctx, &l, stores, chain)
	l.addTokens(ctx, stores)
	if c.given["json"] == nil {
		return l.write(c.Stdout, time.Now())
	}
	text, err := l.document()
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(text)
	return err
}

// profile adds a profile. The user of a service principal's is the database's
// business.
func (l *listing) profile(p *config.Profiles, name string) {
	listed := listedProfile{Name: name, Host: p.Value(name, "host"), ClientID: p.Value(name, "client_id"), Auth: p.Value(name, "auth"),
		Endpoint: p.Value(name, "endpoint"), Instance: p.Value(name, "instance")}
	if listed.ClientID == "" {
		listed.User = p.Value(name, "user")
	}
	l.Profiles = append(l.Profiles, listed)
}

// listFiles adds the secrets that stand in files, and says whether there is any
// such file. One that cannot be used is told of, and hides nothing else.
func (c *call) listFiles(l *listing) (some bool, err error) {
	accounts, unusable, err := c.SecretFiles().List()
	if err != nil {
		return false, err
	}
	for _, err := range unusable {
		message, hint := cli.Describe(err, nil)
		c.say.Warn("%s", message)
		if hint != "" {
			c.say.Hint("%s", hint)
		}
	}
	for _, a := range accounts {
		l.add(a, storeFile)
	}
	return len(accounts)+len(unusable) > 0, nil
}

// addTokens adds the tokens of the store in use. One that cannot be read, such as a
// locked keychain, adds none.
func (l *listing) addTokens(ctx context.Context, stores cli.TokenStores) {
	store := stores.Store()
	if store == nil {
		return
	}
	ids, _ := store.List(ctx)
	for _, id := range ids {
		d, err := tokencache.Describe(ctx, store, id)
		if err != nil {
			continue
		}
		kind := config.CredentialDatabase
		if d.Endpoint == "" && d.Instance == "" {
			kind = config.CredentialWorkspace
		}
		l.Tokens = append(l.Tokens, cachedToken{d, kind, stores.InUse})
	}
}

// listKeychain adds the secrets that the keychain's index names. An account is
// listed before its secret is stored, so one that is not there is left out.
func (c *call) listKeychain(ctx context.Context, l *listing, stores cli.TokenStores) error {
	accounts, err := stores.Index().List(ctx)
	if err != nil && !isEmpty(err, stores) {
		return err
	}
	for _, a := range accounts {
		_, _, secret := config.SplitSecretAccount(a)
		_, _, login := config.SplitRefreshAccount(a)
		if !secret && !login {
			continue
		}
		if _, err := stores.Items.Peek(ctx, a); !errors.Is(err, keychain.ErrNotFound) {
			l.add(a, storeKeychain)
		}
	}
	return nil
}

// add adds the secret or login of account.
func (l *listing) add(account, store string) {
	if host, user, ok := config.SplitRefreshAccount(account); ok {
		l.People = append(l.People, storedLogin{Host: host, User: user, Store: store})
	}
	if host, id, ok := config.SplitSecretAccount(account); ok {
		l.Secrets = append(l.Secrets, storedSecret{Host: host, ClientID: id, Store: store})
	}
}

// lives adds what is known of each secret's life, and warns of an end that is
// near. For that the secret is read, and not shown.
func (c *call) lives(ctx context.Context, l *listing, stores cli.TokenStores, chain *keychain.Keychain) {
	for i := range l.Secrets {
		s := &l.Secrets[i]
		v := c.vault(stores, chain, s.Host, s.ClientID)
		if (v.files != nil) != (s.Store == storeFile) {
			continue // a file goes before the keychain's, which nobody uses then
		}
		secret, err := v.peek(ctx)
		if err != nil {
			continue
		}
		expires, due := v.life(ctx, secret)
		s.Due = due
		if !expires.IsZero() {
			s.ExpiresAt = &expires
			c.warnLife(s.Host, s.ClientID, expires)
		}
	}
}

// document is the listing as one line of JSON.
func (l listing) document() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return nil, err
	}
	return append(plainJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), '\n'), nil
}

// plainJSON escapes what steers a terminal, and which JSON lets through.
func plainJSON(text []byte) []byte {
	var out strings.Builder
	for _, r := range string(text) {
		switch {
		case !sanitize.IsUnsafe(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}

// isEmpty reports whether err means that the keychain holds nothing. A machine
// without one may keep its tokens elsewhere.
func isEmpty(err error, stores cli.TokenStores) bool {
	return errors.Is(err, keychain.ErrNotFound) ||
		errors.Is(err, keychain.ErrAbsent) && stores.InUse != config.CacheKeychain
}
