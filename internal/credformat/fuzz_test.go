package credformat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// A template of literal text is that text; any other is filled in or refused, and
// what it is filled with is never read as a template.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "{password}", "{password:uri}", "{{}}", "{", "}", "{nobody}", "{url} {jdbc_url}", "a{host}:{port}/{database}?u={user:uri}", "{\x00}"} {
		f.Add(s, "p{user}{{%")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		a := Answer{Host: "h", Port: 5432, Database: "d", User: "u", SSLMode: "require", Password: credential.NewSecret(password), ExpiresAt: time.Unix(0, 0)}
		literal, err := ParseTemplate(strings.NewReplacer("{", "{{", "}", "}}").Replace(text))
		if err != nil || literal.Expand(a) != text {
			t.Fatalf("%q as literal text: %q, %v", text, literal.Expand(a), err)
		}
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		other := a
		other.Password = credential.NewSecret(password + "x")
		if asks := template.Uses("password", "url", "jdbc_url") != ""; asks == (template.Expand(a) == template.Expand(other)) {
			t.Fatalf("%q: whether it asks for the password (%v) is not whether it has it", text, asks)
		}
	})
}

// Only versions whose form is known are answered in.
func FuzzExecVersion(f *testing.F) {
	for _, s := range []string{"", `{"apiVersion":"client.authentication.k8s.io/v1"}`, `{"apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}`, `{"apiVersion":1}`, `[]`, `{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, info string) {
		version, err := ExecVersion(info)
		if (err == nil) != slices.Contains(execVersions, version) {
			t.Fatalf("%q: %q, %v", info, version, err)
		}
	})
}
