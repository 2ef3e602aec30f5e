package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/broker"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Bounds of a secret's life (Databricks, "Authorize service principal access
// with OAuth": 730 days at the most), and of how long an old one is kept.
const (
	minLifetime = "1h"
	minKept     = "1s"
	maxDays     = 730
)

// checkRotate looks at rotate's own options before anything else is done.
func checkRotate(given map[string][]string, in *config.Input) error {
	in.NoEndpoint = true
	if given["delete-only"] == nil {
		return nil
	}
	for _, o := range []string{"lifetime", "keep-old"} {
		if given[o] != nil {
			return &cli.UsageError{Problem: "--" + o + " cannot be used with --delete-only", Fix: "leave it out: --delete-only makes no new secret"}
		}
	}
	return nil
}

// rotate puts a new secret into the stored one's place.
func rotate(ctx context.Context, c *call) error {
	r, err := c.rotation()
	if err != nil {
		return err
	}
	var warnings []string
	r.Warn = func(text string) { warnings = append(warnings, text) }
	did, err := c.rotateAlone(ctx, r)
	for _, w := range warnings {
		c.say.Warn("%s", w)
	}
	c.tellRotated(did, err)
	return err
}

// rotateAlone rotates while no other process does that with this secret.
func (c *call) rotateAlone(ctx context.Context, r *broker.Rotation) (broker.Rotated, error) {
	chain := c.Keychain(c.conf)
	stores, err := c.TokenStores(c.conf, chain)
	if err != nil {
		return broker.Rotated{}, err
	}
	host, clientID := c.conf.Workspace.V.HostPort(), c.conf.ClientID.V
	unlock, alone := stores.Cache(c.say, nil).TryLock(rotateLock(host, clientID))
	if !alone {
		return broker.Rotated{}, errors.New("another rotate or login of this secret is at work; nothing was done")
	}
	defer unlock()
	progress := cli.StartProgress(c.say, cli.Terminal(c.Stderr))
	defer progress.Stop()
	api, tell, err := c.Workspace(c.conf, c.say, progress)
	if err != nil {
		return broker.Rotated{}, err
	}
	v := c.vault(stores, chain, host, clientID)
	r.Secrets, r.Ledger, r.Identity, r.API, r.Tell = v, v, api, api, tell
	return r.Run(ctx)
}

// rotation reads rotate's own options.
func (c *call) rotation() (*broker.Rotation, error) {
	if err := c.hasSecret(); err != nil {
		return nil, err
	}
	r := &broker.Rotation{Config: c.conf, Now: c.Now, DeleteOnly: c.given["delete-only"] != nil}
	var err error
	if t := c.given["lifetime"]; t != nil {
		if r.Lifetime, err = lifeOption("--lifetime", t[0], minLifetime); err != nil {
			return nil, err
		}
	}
	if t := c.given["keep-old"]; t != nil {
		if r.KeepOld, err = lifeOption("--keep-old", t[0], minKept); err != nil {
			return nil, err
		}
	}
	if id := c.given["delete-id"]; id != nil {
		r.DeleteID = strings.TrimSpace(id[0])
		if r.DeleteID == "" {
			return nil, &config.Error{Name: "--delete-id", Problem: "is empty", Fix: "give the id of a secret, as rotate and the workspace's settings show it"}
		}
	}
	if c.conf.Secret.Kind != config.SecretInKeychain {
		c.say.Warn("%s is set and goes before the stored secret, which is the one that rotate renews", c.conf.Secret.From)
	}
	return r, nil
}

// hasSecret refuses a target whose way in starts from no stored secret.
func (c *call) hasSecret() error {
	auth := c.conf.Auth
	switch {
	case credential.IsPerson(auth.V):
		return &cli.UsageError{Problem: auth.From.String() + " says " + auth.V + ": people have no secret to rotate", Fix: "a person's login renews itself; it ends with: " + program + " logout" + c.targetOption()}
	case c.conf.ClientID.V == "":
		return &cli.UsageError{Problem: "no client id is given, and people have no secret to rotate", Fix: "name the service principal with --client-id (DATABRICKS_CLIENT_ID) or a profile"}
	}
	return nil
}

// lifeOption reads a time that may be a count of days too.
func lifeOption(option, text, least string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	d, err := inDays(text)
	if err != nil {
		return 0, &config.Error{Name: option, Problem: sanitize.Quote(text) + " is not a duration, such as 12h or 90d"}
	}
	if min, _ := time.ParseDuration(least); d < min || d > maxDays*24*time.Hour {
		return 0, &config.Error{Name: option, Problem: fmt.Sprintf("%s is not between %s and %dd", text, least, maxDays)}
	}
	return d, nil
}

// inDays knows days, which Go's durations do not have.
func inDays(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if n, err := strconv.ParseUint(days, 10, 16); ok && (err == nil || errors.Is(err, strconv.ErrRange)) { // out of range it is the most
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}

// rotateLock names the lock of one secret; the name says nothing of it.
func rotateLock(host, clientID string) string {
	sum := sha256.Sum256([]byte(config.SecretAccount(host, clientID)))
	return fmt.Sprintf("rotate-%x.lock", sum[:16])
}

// tellRotated says what a person has to know or to do.
func (c *call) tellRotated(did broker.Rotated, err error) {
	if id := did.New.ID; id != "" && cli.Terminal(c.Stderr) {
		c.say.Progress("a new secret is stored: " + described(did.New))
	}
	var full *broker.FullError
	switch {
	case errors.As(err, &full):
		for _, s := range full.Secrets {
			c.say.Warn("it has %s%s", described(s), stray(did, s.ID))
		}
		return
	case did.OldUnknown && len(did.Others) > 0:
		c.say.Warn("the old secret stays: its id is not known here. It is one of these:")
	case len(did.Strays) > 0:
		c.say.Warn("a secret that an interrupted rotate asked for may be among these:")
	default:
		return
	}
	for _, s := range did.Others {
		c.say.Warn("%s%s", described(s), stray(did, s.ID))
	}
	c.say.Hint("delete what serves nowhere any more with: %s rotate%s --delete-only --delete-id ID", program, cli.SameTarget(&c.conf))
}

func stray(did broker.Rotated, id string) string {
	if slices.Contains(did.Strays, id) {
		return ", came up while an interrupted rotate was making one"
	}
	return ""
}

// described is one line about a secret, without it.
func described(s exchange.ClientSecret) string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "unknown"
		}
		return t.UTC().Format("2006-01-02T15:04:05Z")
	}
	text := fmt.Sprintf("%s, created %s, expires %s", s.ID, day(s.CreatedAt), day(s.ExpiresAt))
	if s.Status != "" {
		text += ", " + sanitize.Line(s.Status)
	}
	return text
}
