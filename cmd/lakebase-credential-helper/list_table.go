package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// write shows the listing as tables; what is empty is left out.
func (l listing) write(out io.Writer, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = sanitize.Escape(cells[i])
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
		row("TOKEN OF", "HOST", "ENDPOINT", "STORE", "EXPIRES")
		for _, t := range l.Tokens {
			target := targetOf(t.Endpoint, t.Instance, t.ReadOnly)
			if t.Kind == config.CredentialWorkspace {
				target = "(workspace)"
			}
			row(t.ClientID, t.Host, target, t.Store, expires(t.ExpiresAt, now))
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
