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
type Template struct {
	parts []part
}

type part struct {
	name  string // of the placeholder
	text  string
	value func(Answer) string // nil: literal text
	uri   bool
}

var placeholders = map[string]func(Answer) string{
	"host":           func(a Answer) string { return a.Host },
	"port":           func(a Answer) string { return strconv.Itoa(a.Port) },
	"database":       func(a Answer) string { return a.Database },
	"user":           func(a Answer) string { return a.User },
	"password":       func(a Answer) string { return a.Password.Reveal() },
	"url":            func(a Answer) string { return a.URL(true) },
	"url_nopassword": func(a Answer) string { return a.URL(false) },
	"jdbc_url":       func(a Answer) string { return a.JDBC() },
	"expires_at":     func(a Answer) string { return a.ExpiresAt.UTC().Truncate(time.Second).Format(time.RFC3339) },
}

// ParseTemplate parses a template: {name} and {name:uri} are placeholders, {{ and }}
// are literal braces.
func ParseTemplate(text string) (Template, error) {
	var t Template
	var literal strings.Builder
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal.WriteByte(text[i])
			i += 2
		case text[i] == '}':
			return Template{}, errors.New("unmatched }; write }} for a literal brace")
		case text[i] == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return Template{}, errors.New("unclosed {; write {{ for a literal brace")
			}
			name, uri := strings.CutSuffix(text[i+1:i+end], ":uri")
			value := placeholders[name]
			if value == nil {
				return Template{}, fmt.Errorf("unknown placeholder {%s}", name)
			}
			t.parts = append(t.parts, part{text: literal.String()}, part{name: name, value: value, uri: uri})
			literal.Reset()
			i += end + 1
		default:
			literal.WriteByte(text[i])
			i++
		}
	}
	t.parts = append(t.parts, part{text: literal.String()})
	return t, nil
}

// Uses returns the first of the named placeholders in the template, or "".
func (t Template) Uses(names ...string) string {
	for _, p := range t.parts {
		if p.value != nil && slices.Contains(names, p.name) {
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
	for i, p := range t.parts {
		switch {
		case p.value == nil:
			if scheme := strings.LastIndex(p.text, "://"); scheme >= 0 {
				authority = !strings.ContainsAny(p.text[scheme+3:], "/?# ")
			} else if strings.ContainsAny(p.text, "/?# ") {
				authority = false
			}
		case p.name == "host" && (authority || i+2 < len(t.parts) && t.parts[i+1].text == ":" && t.parts[i+2].name == "port"):
			return true
		}
	}
	return false
}

// Expand replaces the placeholders, with percent-encoded values for {…:uri}.
func (t Template) Expand(a Answer) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.value == nil:
			b.WriteString(p.text)
		case p.uri:
			b.WriteString(escape(p.value(a)))
		default:
			b.WriteString(p.value(a))
		}
	}
	return b.String()
}
