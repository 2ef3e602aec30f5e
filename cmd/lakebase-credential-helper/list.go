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

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/cache"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
)

// listing is what list shows; nothing in it is secret.
type listing struct {
	Version  int                 `json:"version"`
	Secrets  []storedSecret      `json:"secrets"`
	Tokens   []cache.Description `json:"tokens"`
	Profiles []listedProfile     `json:"profiles"`
}

type storedSecret struct {
	Host     string `json:"host"`
	ClientID string `json:"client_id"`
	Store    string `json:"store"`
}

type listedProfile struct {
	Name     string `json:"name"`
	Host     string `json:"host"`
	ClientID string `json:"client_id"`
	Endpoint string `json:"endpoint"`
}

func list(ctx context.Context, c *call) error {
	l := listing{Version: 1, Secrets: []storedSecret{}, Tokens: []cache.Description{}, Profiles: []listedProfile{}}
	profiles, err := c.Profiles()
	if err != nil {
		return err
	}
	if profiles != nil {
		for _, n := range profiles.Names() {
			l.Profiles = append(l.Profiles, listedProfile{n, profiles.Value(n, "host"), profiles.Value(n, "client_id"), profiles.Value(n, "endpoint")})
		}
	}
	chain := c.Keychain(c.conf)
	store, err := c.Cache(c.conf, chain, c.say)
	if err != nil {
		return err
	}
	secrets := store.Over(chain)
	accounts, err := secrets.Index().List(ctx)
	if err != nil && !c.nothing(err) {
		return err
	}
	for _, a := range accounts {
		if host, id, ok := config.SplitSecretAccount(a); ok {
			l.Secrets = append(l.Secrets, storedSecret{host, id, "keychain"})
		}
	}
	if store.Store != nil {
		l.Tokens = append(l.Tokens, store.Tokens(ctx)...)
	}
	if c.given["json"] != nil {
		enc := json.NewEncoder(c.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(l)
	}
	return l.write(c.Stdout, c.Now())
}

// nothing says whether err means that nothing is stored. A machine that has no
// keychain can still keep tokens in files.
func (c *call) nothing(err error) bool {
	return errors.Is(err, keychain.ErrNotFound) || cache.IsMissing(err) ||
		errors.Is(err, keychain.ErrAbsent) && c.conf.Cache.V == config.CacheFile
}

// write shows the listing as three tables; what is empty is left out.
func (l listing) write(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = cli.Plain(cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if len(l.Secrets) > 0 {
		row("SECRET OF", "HOST", "STORE")
		for _, s := range l.Secrets {
			row(s.ClientID, s.Host, s.Store)
		}
	}
	if len(l.Tokens) > 0 {
		row("TOKEN OF", "HOST", "ENDPOINT", "EXPIRES")
		for _, t := range l.Tokens {
			row(t.ClientID, t.Host, t.Endpoint, expires(t.ExpiresAt, now))
		}
	}
	if len(l.Profiles) > 0 {
		row("PROFILE", "HOST", "CLIENT", "ENDPOINT")
		for _, p := range l.Profiles {
			row(p.Name, p.Host, p.ClientID, p.Endpoint)
		}
	}
	return w.Flush()
}

func expires(at, now time.Time) string {
	if left := at.Sub(now); left > 0 {
		return "in " + left.Round(time.Second).String()
	}
	return "expired"
}
