package credformat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is a checked text with placeholders, such as
// "postgres://{user:uri}:{password:uri}@{host}/{database:uri}".
type Template struct {
	parts []part
}

type part struct {
	name  string // of the placeholder
	text  string
	value func(Answer) string // nil: text stands for itself
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

// ParseTemplate checks a template: {name} and {name:uri} are placeholders, {{
// and }} are literal braces.
func ParseTemplate(text string) (Template, error) {
	var t Template
	var literal strings.Builder
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal.WriteByte(text[i])
			i += 2
		case text[i] == '}':
			return Template{}, fmt.Errorf("a } stands alone; }} is a literal one")
		case text[i] == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return Template{}, fmt.Errorf("a { is not closed; {{ is a literal one")
			}
			name, uri := strings.CutSuffix(text[i+1:i+end], ":uri")
			value := placeholders[name]
			if value == nil {
				return Template{}, fmt.Errorf("there is no placeholder {%s}", name)
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

// Uses gives the first of these placeholders that the template has, or nothing.
func (t Template) Uses(names ...string) string {
	for _, p := range t.parts {
		if p.value != nil && slices.Contains(names, p.name) {
			return p.name
		}
	}
	return ""
}

// Expand fills the template in: raw, or percent-encoded for {…:uri}.
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
