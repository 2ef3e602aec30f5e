package credformat

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is a text with placeholders, such as
// "postgres://{user:uri}:{password:uri}@{host}/{database:uri}".
type Template []part

// part is a literal text, or a placeholder.
type part struct {
	text string
	name string // of the placeholder; empty: literal text
	uri  bool
}

var placeholders = map[string]func(Answer) string{
	"host":           func(a Answer) string { return a.Host },
	"port":           func(a Answer) string { return strconv.Itoa(a.Port) },
	"database":       func(a Answer) string { return a.Database },
	"user":           func(a Answer) string { return a.User },
	"password":       func(a Answer) string { return a.Password.Reveal() },
	"url":            func(a Answer) string { return a.url(true, "sslmode", "sslrootcert") },
	"url_nopassword": func(a Answer) string { return a.url(false, "sslmode", "sslrootcert") },
	"jdbc_url":       Answer.jdbc,
	// Drivers with roots of their own, as postgres.js, send sslrootcert to the server.
	"node_url":   func(a Answer) string { return a.url(true, "sslmode") },
	"expires_at": func(a Answer) string { return a.ExpiresAt.UTC().Truncate(time.Second).Format(time.RFC3339) },
}

// ParseTemplate parses a template: {name} and {name:uri} are placeholders, {{ and }}
// are literal braces.
func ParseTemplate(text string) (t Template, err error) {
	for {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			return append(t, part{text: text}), nil
		}
		t = append(t, part{text: text[:i]})
		text = text[i:]
		inner, rest, closed := strings.Cut(text[1:], "}")
		name, uri := strings.CutSuffix(inner, ":uri")
		switch {
		case strings.HasPrefix(text, "{{"), strings.HasPrefix(text, "}}"):
			t, text = append(t, part{text: text[:1]}), text[2:]
			continue
		case text[0] == '}':
			return nil, errors.New("unmatched }; write }} for a literal brace")
		case !closed:
			return nil, errors.New("unclosed {; write {{ for a literal brace")
		case placeholders[name] == nil:
			return nil, fmt.Errorf("unknown placeholder {%s}", name)
		}
		t, text = append(t, part{name: name, uri: uri}), rest
	}
}

// Uses returns the first of the named placeholders in the template, or "".
func (t Template) Uses(names ...string) string {
	for _, p := range t {
		if p.name != "" && slices.Contains(names, p.name) {
			return p.name
		}
	}
	return ""
}

// HostInAddress reports whether the host is in a position where only a name or an IP
// address is understood, and not the directory of a socket: in the authority of a URL, or
// in front of a colon and the port.
func (t Template) HostInAddress() bool {
	authority := false
	for i, p := range t {
		switch {
		case p.name == "":
			if scheme := strings.LastIndex(p.text, "://"); scheme >= 0 {
				authority = !strings.ContainsAny(p.text[scheme+3:], "/?# ")
			} else if strings.ContainsAny(p.text, "/?# ") {
				authority = false
			}
		case p.name == "host" && (authority || i+2 < len(t) && t[i+1].text == ":" && t[i+2].name == "port"):
			return true
		}
	}
	return false
}

// Expand replaces the placeholders, with percent-encoded values for {…:uri}.
func (t Template) Expand(a Answer) string {
	var b strings.Builder
	for _, p := range t {
		text := p.text
		if p.name != "" {
			text = placeholders[p.name](a)
		}
		if p.uri {
			text = escape(text)
		}
		b.WriteString(text)
	}
	return b.String()
}
