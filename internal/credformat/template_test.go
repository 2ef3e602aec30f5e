package credformat

import (
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"{host}:{port}/{database}":           host + ":5432/data base",
		"{{{user}}}":                         "{me@example.com}",
		"{user:uri}":                         "me%40example.com",
		"p={password} e={expires_at}":        "p=tok.en e=2026-01-01T00:01:00Z",
		"{url_nopassword}":                   "postgresql://me%40example.com@" + host + ":5432/data%20base?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem",
		"{jdbc_url}":                         answer.JDBC(),
		"{database:uri}?a={{b}}&c={url:uri}": "data%20base?a={b}&c=" + escape(answer.URL(true)),
	} {
		template, err := ParseTemplate(text)
		if got := template.Expand(answer); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"{nope}": "unknown placeholder {nope}", "{host": "unclosed {", "a}b": "unmatched }", "{host:url}": "unknown placeholder"} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// Literal text expands to itself, and a value is never read as a template.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "{password}", "{password:uri}", "{{}}", "{", "}", "{nobody}", "{url} {jdbc_url}", "a{host}:{port}/{database}?u={user:uri}", "{\x00}"} {
		f.Add(s, "p{user}{{%")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		a := Answer{Host: "h", Port: 5432, Database: "d", User: "u", SSLMode: "require", Password: credential.NewSecret(password), ExpiresAt: time.Unix(0, 0)}
		literal, err := ParseTemplate(strings.NewReplacer("{", "{{", "}", "}}").Replace(text))
		if err != nil || literal.Expand(a) != text {
			t.Fatalf("%q as literal text became %q, %v", text, literal.Expand(a), err)
		}
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		other := a
		other.Password = credential.NewSecret(password + "x")
		if uses := template.Uses("password", "url", "jdbc_url") != ""; uses == (template.Expand(a) == template.Expand(other)) {
			t.Fatalf("%q: Uses reports the password: %v", text, uses)
		}
	})
}

func TestTemplate_HostInAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"postgres://{user}:{password}@{host:uri}":                                     true,
		"postgresql+asyncpg://{user:uri}:{password:uri}@{host}:{port}/{database:uri}": true,
		"jdbc:postgresql://{host}:{port}/{database}":                                  true,
		"postgres://{host}":                           true,
		"{host}:{port}":                               true,
		"//{user}@tcp({host}:{port})/x":               true,
		"postgres:///{database}?host={host:uri}":      false,
		"postgres://localhost/{database}?host={host}": false,
		"host={host} port={port}":                     false,
		"see http://localhost then {host}":            false,
		"{url} {host}":                                false,
		"{user}@{database}":                           false,
	} {
		parsed, err := ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.HostInAddress(); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
