package credformat

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

var answer = Answer{
	Host: "ep-a.database.us-east-1.cloud.databricks.com", Port: 5432, Database: "data base", User: "me@example.com",
	SSLMode: "verify-full", SSLRootCert: "/etc/ssl/cert.pem", Password: credential.NewSecret("tok.en"),
	ExpiresAt: time.Date(2026, 1, 1, 1, 1, 0, 999, time.FixedZone("", 3600)),
}

func TestFormatsHaveTheirDocumentedShape(t *testing.T) {
	const host = "ep-a.database.us-east-1.cloud.databricks.com"
	const drop = "unset PGHOSTADDR\nunset PGSERVICE\nunset PGSERVICEFILE\nunset PGPASSFILE\n"
	for format, want := range map[string]string{
		"json": `{"version":1,"host":"` + host + `","port":5432,"dbname":"data base","user":"me@example.com","password":"tok.en",` +
			`"sslmode":"verify-full","expires_at":"2026-01-01T00:00:00Z"}`,
		"password":           "tok.en",
		"libpq":              `{"host":"` + host + `","port":"5432","dbname":"data base","user":"me@example.com","password":"tok.en","sslmode":"verify-full"}`,
		"credential-process": `{"Version":1,"AccessKeyId":"me@example.com","SecretAccessKey":"tok.en","Expiration":"2026-01-01T00:00:00Z"}`,
		"exec-credential": `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",` +
			`"status":{"token":"tok.en","expirationTimestamp":"2026-01-01T00:00:00Z"}}`,
		"terraform": `{"host":"` + host + `","port":"5432","dbname":"data base","user":"me@example.com","password":"tok.en",` +
			`"sslmode":"verify-full","expires_at":"2026-01-01T00:00:00Z"}`,
		"pgpass": host + `:5432:*:me@example.com:tok.en`,
		"env": drop + "export PGHOST='" + host + "'\nexport PGPORT='5432'\nexport PGDATABASE='data base'\nexport PGUSER='me@example.com'\n" +
			"export PGPASSWORD='tok.en'\nexport PGSSLMODE='verify-full'\nexport PGSSLROOTCERT='/etc/ssl/cert.pem'\n" +
			"export LAKEBASE_TOKEN_EXPIRES_AT='2026-01-01T00:00:00Z'",
		"fish": strings.ReplaceAll(drop, "unset", "set -e") + "set -gx PGHOST '" + host + "'\nset -gx PGPORT '5432'\nset -gx PGDATABASE 'data base'\n" +
			"set -gx PGUSER 'me@example.com'\nset -gx PGPASSWORD 'tok.en'\nset -gx PGSSLMODE 'verify-full'\nset -gx PGSSLROOTCERT '/etc/ssl/cert.pem'\n" +
			"set -gx LAKEBASE_TOKEN_EXPIRES_AT '2026-01-01T00:00:00Z'",
		"powershell": strings.ReplaceAll(drop, "unset ", `Remove-Item -ErrorAction SilentlyContinue Env:\`) + "$env:PGHOST = '" + host + "'\n$env:PGPORT = '5432'\n" +
			"$env:PGDATABASE = 'data base'\n$env:PGUSER = 'me@example.com'\n$env:PGPASSWORD = 'tok.en'\n$env:PGSSLMODE = 'verify-full'\n" +
			"$env:PGSSLROOTCERT = '/etc/ssl/cert.pem'\n$env:LAKEBASE_TOKEN_EXPIRES_AT = '2026-01-01T00:00:00Z'",
		"dotenv": "PGHOST=" + host + "\nPGPORT=5432\nPGDATABASE='data base'\nPGUSER=me@example.com\nPGPASSWORD=tok.en\nPGSSLMODE=verify-full\n" +
			"PGSSLROOTCERT=/etc/ssl/cert.pem\nLAKEBASE_TOKEN_EXPIRES_AT=2026-01-01T00:00:00Z",
		"url": "postgresql://me%40example.com:tok.en@" + host + ":5432/data%20base?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem",
		"jdbc": "jdbc:postgresql://" + host + ":5432/data%20base?user=me%40example.com&password=tok.en&sslmode=verify-full" +
			"&sslrootcert=%2Fetc%2Fssl%2Fcert.pem",
	} {
		got, err := Render(format, answer, Context{})
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if diff := cmp.Diff(want+"\n", string(got)); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
	if _, err := Render("nope", answer, Context{}); err == nil || !strings.Contains(err.Error(), "credential-process") {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestExecCredentialEchoesTheVersion(t *testing.T) {
	out, err := Render("exec-credential", answer, Context{ExecInfo: `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}`})
	if err != nil || !strings.HasPrefix(string(out), `{"apiVersion":"client.authentication.k8s.io/v1beta1",`) {
		t.Errorf("%s %v", out, err)
	}
	for info, want := range map[string]string{
		`{"apiVersion":"client.authentication.k8s.io/v1alpha1"}`: `asks for "client.authentication.k8s.io/v1alpha1"`,
		`not json`: "is not JSON",
	} {
		if _, err := Render("exec-credential", answer, Context{ExecInfo: info}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", info, err)
		}
	}
}

func TestWhatAFormatCannotHoldIsRefused(t *testing.T) {
	for _, c := range []struct {
		format, user, what string
	}{
		{"pgpass", "a\nb", "a line feed"},
		{"pgpass", "a\rb", "a carriage return"},
		{"env", "a\x00b", "a NUL"},
		{"url", "a\x00b", "a NUL"},
		{"dotenv", "a'\"`b", "all three of"},
		{"dotenv", "a b\\", "a backslash at the end"},
		{"dotenv", "a\rb", "a carriage return"},
	} {
		a := answer
		a.User = c.user
		_, err := Render(c.format, a, Context{})
		var refused *Error
		if !errors.As(err, &refused) || refused.Format != c.format || refused.Field != "user" || !strings.Contains(refused.What, c.what) {
			t.Errorf("%s with %q: %v", c.format, c.user, err)
		}
	}
}

func TestGitHubEnv(t *testing.T) {
	a := answer
	a.Password = credential.NewSecret("100%")
	a.User = "two\nlines"
	out, file, err := GitHubEnv(a, "EOF_1")
	if err != nil || string(out) != "::add-mask::100%25\n" {
		t.Errorf("%q %v", out, err)
	}
	if want := "PGUSER<<EOF_1\ntwo\nlines\nEOF_1\nPGPASSWORD<<EOF_1\n100%\nEOF_1\n"; !strings.Contains(string(file), want) {
		t.Errorf("%s", file)
	}
	a.User = "x\nEOF_1\nPATH=/evil"
	if _, _, err := GitHubEnv(a, "EOF_1"); err == nil || !strings.Contains(err.Error(), "the delimiter in user") {
		t.Errorf("a value that ends its own block: %v", err)
	}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"{host}:{port}/{database}":           answer.Host + ":5432/data base",
		"{{{user}}}":                         "{me@example.com}",
		"{user:uri}":                         "me%40example.com",
		"p={password} e={expires_at}":        "p=tok.en e=2026-01-01T00:01:00Z",
		"{url_nopassword}":                   "postgresql://me%40example.com@" + answer.Host + ":5432/data%20base?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem",
		"{jdbc_url}":                         answer.JDBC(),
		"{database:uri}?a={{b}}&c={url:uri}": "data%20base?a={b}&c=" + escape(answer.URL(true)),
	} {
		tpl, err := ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := tpl.Expand(answer); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"{nope}": "no placeholder {nope}", "{host": "not closed", "a}b": "stands alone", "{host:url}": "no placeholder"} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzRoundTrips holds that each format's own reader gets back what was put in,
// or that it was refused. Formats for shells are read by real shells in test/e2e.
func FuzzRoundTrips(f *testing.F) {
	f.Add("host", "data base", "user\n\"", "tok en")
	f.Add("::1", "a:b\\", "x'y`\"#", "%+ &?=")
	f.Fuzz(func(t *testing.T, host, database, user, password string) {
		for _, s := range []string{host, database, user, password} {
			if !utf8.ValidString(s) || s == "" {
				return
			}
		}
		a := Answer{Host: host, Port: 1, Database: database, User: user, Password: credential.NewSecret(password), SSLMode: "verify-full"}
		for _, format := range Formats() {
			out, err := Render(format, a, Context{})
			var refused *Error
			switch {
			case errors.As(err, &refused):
				continue
			case err != nil:
				t.Fatal(err)
			}
			if problem := readBack(format, string(out), a); problem != "" {
				t.Errorf("%s: %s: %q", format, problem, out)
			}
		}
	})
}

// readBack reads a format as its callers do; "" is as it should be.
func readBack(format, out string, a Answer) string {
	text := strings.TrimSuffix(out, "\n")
	switch format {
	case "json", "libpq", "terraform", "credential-process":
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			return err.Error()
		}
		user, password := got["user"], got["password"]
		if format == "credential-process" {
			user, password = got["AccessKeyId"], got["SecretAccessKey"]
		}
		if user != a.User || password != a.Password.Reveal() {
			return "user or password differ"
		}
	case "pgpass":
		fields := pgpassFields(text)
		if len(fields) != 5 || fields[0] != a.Host || fields[3] != a.User || fields[4] != a.Password.Reveal() {
			return "fields differ"
		}
	case "url":
		if strings.ContainsAny(a.Host, "/?#@%[]:\\ \"<>^`{|}") || strings.ContainsFunc(a.Host, func(r rune) bool { return r < 33 || r > 126 }) {
			return "" // hosts are checked long before they come here
		}
		u, err := url.Parse(text)
		if err != nil {
			return err.Error()
		}
		p, _ := u.User.Password()
		if u.User.Username() != a.User || p != a.Password.Reveal() || u.Path != "/"+a.Database {
			return "parts differ"
		}
	}
	return ""
}

// pgpassFields splits a line as libpq does (passwordFromFile).
func pgpassFields(s string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == ':':
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(out, b.String())
}
