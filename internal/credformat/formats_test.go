package credformat

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const host = "ep-a.database.us-east-1.cloud.databricks.com"

var answer = Answer{
	Host: host, Port: 5432, Database: "data base", User: "me@example.com",
	SSLMode: "verify-full", SSLRootCert: "/etc/ssl/cert.pem", Password: credential.NewSecret("tok.en"),
	ExpiresAt: time.Date(2026, 1, 1, 1, 1, 0, 999, time.FixedZone("", 3600)),
}

// in returns an environment with one variable more than GITHUB_ENV.
func in(name, value string) Env {
	env := map[string]string{"GITHUB_ENV": "/file", name: value}
	return func(name string) string { return env[name] }
}

func render(format string, a Answer, env Env) (Output, error) {
	f, _ := Lookup(format)
	return f.Render(a, env)
}

const (
	unset     = "unset PGHOSTADDR\nunset PGSERVICE\nunset PGSERVICEFILE\nunset PGPASSFILE\n"
	variables = "PGHOST=<" + host + ">\nPGPORT=<5432>\nPGDATABASE=<data base>\nPGUSER=<me@example.com>\nPGPASSWORD=<tok.en>\n" +
		"PGSSLMODE=<verify-full>\nPGSSLROOTCERT=</etc/ssl/cert.pem>\nLAKEBASE_TOKEN_EXPIRES_AT=<2026-01-01T00:00:00Z>\n"
)

// statements returns variables with each line begun by start, and assign and quote
// around the value.
func statements(start, assign, quote string) string {
	lines := strings.Split(strings.NewReplacer("=<", assign+quote, ">\n", quote+"\n").Replace(variables), "\n")
	return start + strings.Join(lines[:len(lines)-1], "\n"+start) + "\n"
}

// documents holds what each format prints.
var documents = map[string]string{
	"json": `{"version":1,"host":"` + host + `","port":5432,"dbname":"data base","user":"me@example.com","password":"tok.en",` +
		`"sslmode":"verify-full","expires_at":"2026-01-01T00:00:00Z"}` + "\n",
	"password":           "tok.en\n",
	"libpq":              `{"host":"` + host + `","port":"5432","dbname":"data base","user":"me@example.com","password":"tok.en","sslmode":"verify-full"}` + "\n",
	"credential-process": `{"Version":1,"AccessKeyId":"me@example.com","SecretAccessKey":"tok.en","Expiration":"2026-01-01T00:00:00Z"}` + "\n",
	"exec-credential": `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",` +
		`"status":{"token":"tok.en","expirationTimestamp":"2026-01-01T00:00:00Z"}}` + "\n",
	"terraform": `{"host":"` + host + `","port":"5432","dbname":"data base","user":"me@example.com","password":"tok.en",` +
		`"sslmode":"verify-full","expires_at":"2026-01-01T00:00:00Z"}` + "\n",
	"pgpass":          host + ":5432:*:me@example.com:tok.en\n",
	"env":             unset + statements("export ", "=", "'"),
	"fish":            strings.ReplaceAll(unset, "unset", "set -e") + statements("set -gx ", " ", "'"),
	"powershell":      strings.ReplaceAll(unset, "unset ", `Remove-Item -ErrorAction SilentlyContinue Env:\`) + statements("$env:", " = ", "'"),
	"dotenv":          strings.ReplaceAll(statements("", "=", ""), "data base", "'data base'"),
	"url":             "postgresql://me%40example.com:tok.en@" + host + ":5432/data%20base?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem\n",
	"jdbc":            "jdbc:postgresql://" + host + ":5432/data%20base?user=me%40example.com&password=tok.en&sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem\n",
	"bearer":          "Authorization: Bearer tok.en\n",
	"github-env":      "::add-mask::tok.en\n",
	"workspace-token": `{"access_token":"tok.en","token_type":"Bearer","expiry":"2026-01-01T00:00:00Z"}` + "\n",
}

func TestFormats(t *testing.T) {
	for _, name := range Names() {
		got, err := render(name, answer, in("", ""))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(documents[name], string(got.Stdout)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		all := string(got.Stdout) + string(got.Append)
		roots := strings.Contains(all, answer.SSLRootCert) || strings.Contains(all, url.QueryEscape(answer.SSLRootCert))
		if f, ok := Lookup(name); !ok || f.Roots != roots || f.Check(in("", "")) != nil {
			t.Errorf("%s: got Roots %v, %v, want %v", name, f.Roots, ok, roots)
		}
	}
	if f, ok := Lookup(""); !ok || f.Name != "json" {
		t.Errorf("got default format %q", f.Name)
	}
	if f, ok := Lookup("nope"); ok {
		t.Errorf("got format %q for an unknown name", f.Name)
	}
}

// A password that does not expire has no expiry where the format permits that.
func TestFormats_WithoutExpiry(t *testing.T) {
	native := answer
	native.ExpiresAt = time.Time{}
	for _, name := range Names() {
		got, err := render(name, native, in("", ""))
		all := string(got.Stdout) + string(got.Append)
		if name == "terraform" || name == "workspace-token" { // strings; not for native passwords
			all = strings.ReplaceAll(strings.ReplaceAll(all, `"expires_at":""`, ""), `"expiry":""`, "")
		}
		all = strings.ReplaceAll(all, "unset LAKEBASE_TOKEN_EXPIRES_AT", "")
		if err != nil || strings.Contains(all, "2026") || name != "fish" && name != "powershell" && strings.Contains(strings.ToLower(all), "expir") {
			t.Errorf("%s: got %s, %v", name, all, err)
		}
	}
}

// What the environment does not allow is found before there is a token.
func TestFormats_Environment(t *testing.T) {
	for _, c := range []struct{ format, name, value, want string }{
		{"exec-credential", "KUBERNETES_EXEC_INFO", `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}`, ""},
		{"exec-credential", "KUBERNETES_EXEC_INFO", `{"apiVersion":"client.authentication.k8s.io/v1alpha1"}`, `unsupported apiVersion "client.authentication.k8s.io/v1alpha1"`},
		{"exec-credential", "KUBERNETES_EXEC_INFO", "not json", "not JSON"},
		{"github-env", "GITHUB_ENV", "", "not set"},
	} {
		f, _ := Lookup(c.format)
		out, err := render(c.format, answer, in(c.name, c.value))
		for _, err := range []error{err, f.Check(in(c.name, c.value))} {
			var bad *Error
			if (c.want != "" || err != nil) && (!errors.As(err, &bad) || !strings.Contains(bad.Problem, c.name+": "+c.want)) {
				t.Errorf("%s with %s: got %v, want %q", c.format, c.value, err, c.want)
			}
		}
		if c.want == "" && !strings.HasPrefix(string(out.Stdout), `{"apiVersion":"client.authentication.k8s.io/v1beta1",`) {
			t.Errorf("%s: got %s", c.value, out.Stdout)
		}
	}
}

func TestFormats_CannotRepresent(t *testing.T) {
	for _, c := range []struct{ format, user, what string }{
		{"pgpass", "a\nb", "a line feed"},
		{"pgpass", "a\rb", "a carriage return"},
		{"bearer", "a\nb", "a line feed"},
		{"env", "a\x00b", "a NUL"},
		{"url", "a\x00b", "a NUL"},
		{"dotenv", "a'\"`b", "all three of"},
		{"dotenv", "a b\\", "a backslash at the end"},
		{"dotenv", "a\rb", "a carriage return"},
	} {
		a := answer
		a.User = c.user
		_, err := render(c.format, a, in("", ""))
		var bad *Error
		if !errors.As(err, &bad) || !strings.HasPrefix(bad.Problem, "format "+c.format+" cannot represent "+c.what) || !strings.HasSuffix(bad.Problem, " in user") {
			t.Errorf("%s with %q: got %v, want %q", c.format, c.user, err, c.what)
		}
	}
	a := answer
	a.Password = credential.NewSecret("two\nlines")
	for _, format := range []string{"password", "github-env"} {
		if out, err := render(format, a, in("", "")); err == nil {
			t.Errorf("%s of a password of two lines: got %q", format, out.Stdout)
		}
	}
}

func TestGitHubEnv(t *testing.T) {
	a := answer
	a.User, a.Password = "two\nlines", credential.NewSecret("100%")
	out, err := render("github-env", a, in("", ""))
	if err != nil || string(out.Stdout) != "::add-mask::100%25\n" || out.AppendTo != "GITHUB_ENV" {
		t.Errorf("got %q to %q, %v", out.Stdout, out.AppendTo, err)
	}
	delimiter := regexp.MustCompile(`LAKEBASE_[A-Z2-7]{26}`).FindString(string(out.Append))
	want := strings.ReplaceAll("PGUSER<<EOF\ntwo\nlines\nEOF\nPGPASSWORD<<EOF\n100%\nEOF\n", "EOF", delimiter)
	if delimiter == "" || !strings.Contains(string(out.Append), want) {
		t.Errorf("got %s, want %s in it", out.Append, want)
	}
}

// A database may have any name: quotes in it are quoted.
func TestShells_Quotes(t *testing.T) {
	a := answer
	a.Database = "it's \\ ‘so’ ‚now‛ $(id) `id`"
	for format, want := range map[string]string{
		"env":        `export PGDATABASE='it'\''s \ ‘so’ ‚now‛ $(id) ` + "`id`'",
		"fish":       `set -gx PGDATABASE 'it\'s \\ ‘so’ ‚now‛ $(id) ` + "`id`'",
		"powershell": `$env:PGDATABASE = 'it''s \ ‘‘so’’ ‚‚now‛‛ $(id) ` + "`id`'",
	} {
		if out, err := render(format, a, in("", "")); err != nil || !strings.Contains("\n"+string(out.Stdout), "\n"+want+"\n") {
			t.Errorf("%s: got %s%v, want the line %s", format, out.Stdout, err, want)
		}
	}
}

// A format's reader gets what was rendered, or it is an error. Shells read theirs in
// test/e2e.
func FuzzRoundTrips(f *testing.F) {
	f.Add("data base", "user\n\"", "tok en")
	f.Add("a:b\\", "x'y`\"#", "%+ &?=")
	f.Fuzz(func(t *testing.T, database, user, password string) {
		for _, s := range []string{database, user, password} {
			if !utf8.ValidString(s) || s == "" {
				return
			}
		}
		a := Answer{Host: "::1", Port: 1, Database: database, User: user, Password: credential.NewSecret(password), SSLMode: "verify-full"}
		for _, name := range Names() {
			out, err := render(name, a, in("", ""))
			if errors.As(err, new(*Error)) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			gotUser, gotPassword := read(name, strings.TrimSuffix(string(out.Stdout), "\n"), a)
			if gotUser != user || gotPassword != password {
				t.Errorf("%s: got user %q and password %q from %q", name, gotUser, gotPassword, out.Stdout)
			}
		}
	})
}

// read reads user and password as a format's callers do; a's own for other formats.
func read(format, text string, a Answer) (user, password string) {
	switch format {
	case "json", "libpq", "terraform", "credential-process":
		var got map[string]any
		_ = json.Unmarshal([]byte(text), &got)
		names := [2]string{"user", "password"}
		if format == "credential-process" {
			names = [2]string{"AccessKeyId", "SecretAccessKey"}
		}
		user, _ = got[names[0]].(string)
		password, _ = got[names[1]].(string)
		return user, password
	case "pgpass": // as libpq's passwordFromFile
		fields := strings.Split(strings.NewReplacer(`\\`, "\x01", `\:`, "\x02").Replace(text), ":")
		if restore := strings.NewReplacer("\x01", `\`, "\x02", ":").Replace; len(fields) == 5 && !strings.ContainsAny(a.User+a.Password.Reveal(), "\x01\x02") {
			return restore(fields[3]), restore(fields[4])
		}
	case "url":
		u, err := url.Parse(text)
		if err != nil || u.Path != "/"+a.Database {
			return "", ""
		}
		password, _ = u.User.Password()
		return u.User.Username(), password
	}
	return a.User, a.Password.Reveal()
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"{host}:{port}/{database}":           host + ":5432/data base",
		"{{{user}}}":                         "{me@example.com}",
		"{user:uri}":                         "me%40example.com",
		"p={password} e={expires_at}":        "p=tok.en e=2026-01-01T00:01:00Z",
		"{url_nopassword}":                   "postgresql://me%40example.com@" + host + ":5432/data%20base?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem",
		"{jdbc_url}":                         answer.jdbc(),
		"{database:uri}?a={{b}}&c={url:uri}": "data%20base?a={b}&c=" + escape(answer.url(true, "sslmode", "sslrootcert")),
	} {
		template, err := ParseTemplate(text)
		if got := template.Expand(answer); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"{user} {jdbc_url} {password}": "jdbc_url", "{password:uri}": "password", "{{password}} url {url_nopassword}": ""} {
		if template, err := ParseTemplate(text); err != nil || template.Uses("password", "url", "jdbc_url") != want {
			t.Errorf("%s: got %q, %v, want %q", text, template.Uses("password", "url", "jdbc_url"), err, want)
		}
	}
	for text, want := range map[string]string{"{nope}": "unknown placeholder {nope}", "{host": "unclosed {", "a}b": "unmatched }", "{host:url}": "unknown placeholder"} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
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
