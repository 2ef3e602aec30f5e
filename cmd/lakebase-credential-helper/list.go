package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf16"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/cache"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// listing is what list shows; nothing in it is secret.
type listing struct {
	Version  int                 `json:"version"`
	Secrets  []storedSecret      `json:"secrets"`
	People   []storedLogin       `json:"people"`
	Tokens   []cache.Description `json:"tokens"`
	Profiles []listedProfile     `json:"profiles"`
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
	l := listing{Version: 1, Secrets: []storedSecret{}, People: []storedLogin{}, Tokens: []cache.Description{}, Profiles: []listedProfile{}}
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
		l.Tokens = append(l.Tokens, store.Tokens(ctx)...)
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

// write shows the listing as tables; what is empty is left out.
func (l listing) write(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = cli.Plain(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if len(l.Secrets) > 0 {
		row("SECRET OF", "HOST", "STORE", "EXPIRES")
		for _, s := range l.Secrets {
			row(s.ClientID, s.Host, s.Store, lifeOf(s.ExpiresAt, now))
		}
	}
	l.writeDue(row)
	if len(l.People) > 0 {
		row("LOGIN OF", "HOST", "STORE")
		for _, p := range l.People {
			row(p.User, p.Host, p.Store)
		}
	}
	if len(l.Tokens) > 0 {
		row("TOKEN OF", "HOST", "ENDPOINT", "EXPIRES")
		for _, t := range l.Tokens {
			row(t.ClientID, t.Host, targetOf(t.Endpoint, t.Instance, t.ReadOnly), expires(t.ExpiresAt, now))
		}
	}
	if len(l.Profiles) > 0 {
		row("PROFILE", "HOST", "CLIENT", "ENDPOINT")
		for _, p := range l.Profiles {
			row(p.Name, p.Host, p.ClientID+p.User, targetOf(p.Endpoint, p.Instance, false))
		}
	}
	return w.Flush()
}

// targetOf is one cell: the endpoint, or in its place the instance.
func targetOf(endpoint, instance string, readOnly bool) string {
	if instance != "" {
		endpoint = strings.TrimSpace(endpoint + " " + credential.InstancePrefix + instance)
	}
	if readOnly {
		endpoint += " (read-only)"
	}
	return endpoint
}

// writeDue shows the secrets that are to be deleted.
func (l listing) writeDue(row func(...string)) {
	head := true
	for _, s := range l.Secrets {
		for _, d := range s.Due {
			if head {
				row("OLD SECRET", "OF", "HOST", "DELETED BY THE NEXT ROTATE")
				head = false
			}
			when := "at once"
			if !d.After.IsZero() {
				when = "after " + d.After.UTC().Format(time.RFC3339)
			}
			row(d.ID, s.ClientID, s.Host, when)
		}
	}
}

// lifeOf is a secret's rest in days; the workspace's settings know it where we
// do not.
func lifeOf(at *time.Time, now time.Time) string {
	if at == nil {
		return "unknown"
	}
	left := at.Sub(now)
	if left <= 0 {
		return "expired"
	}
	return fmt.Sprintf("in %d days", int(left/(24*time.Hour)))
}

func expires(at, now time.Time) string {
	if left := at.Sub(now); left > 0 {
		return "in " + left.Round(time.Second).String()
	}
	return "expired"
}
