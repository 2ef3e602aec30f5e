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

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/cache"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

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
	Due []broker.DueSecret `json:"due,omitempty"`
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
	cache.Description
	Kind string `json:"kind"` // config.CredentialDatabase, config.CredentialWorkspace
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
	store, err := c.Cache(c.conf, chain, c.say)
	if err != nil {
		return err
	}
	if err := c.listKeychain(ctx, &l, store.Over(chain.Patient())); err != nil && !(files && errors.Is(err, keychain.ErrAbsent)) {
		return err
	}
	c.lives(ctx, &l, store, chain)
	if store.Store != nil {
		for _, t := range store.Tokens(ctx) {
			kind := config.CredentialDatabase
			if t.Endpoint == "" && t.Instance == "" {
				kind = config.CredentialWorkspace
			}
			l.Tokens = append(l.Tokens, cachedToken{t, kind})
		}
	}
	if c.given["json"] == nil {
		return l.write(c.Stdout, c.Now())
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

// listKeychain adds the secrets that the keychain's index names. An account is
// listed before its secret is stored, so one that is not there is left out.
func (c *call) listKeychain(ctx context.Context, l *listing, store *cache.Cache) error {
	accounts, err := store.Index().List(ctx)
	if err != nil && !c.nothing(err) {
		return err
	}
	for _, a := range accounts {
		_, _, secret := config.SplitSecretAccount(a)
		_, _, login := config.SplitRefreshAccount(a)
		if !secret && !login {
			continue
		}
		if _, err := store.Store.Peek(ctx, a); !cache.IsMissing(err) {
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
func (c *call) lives(ctx context.Context, l *listing, store *cache.Cache, chain *keychain.Keychain) {
	for i := range l.Secrets {
		s := &l.Secrets[i]
		v := c.vault(store, chain, s.Host, s.ClientID)
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
		case !cli.Steers(r):
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

// nothing says whether err means that nothing is stored. A machine that has no
// keychain can still keep tokens in files.
func (c *call) nothing(err error) bool {
	return errors.Is(err, keychain.ErrNotFound) || cache.IsMissing(err) ||
		errors.Is(err, keychain.ErrAbsent) && c.conf.Cache.V == config.CacheFile
}
