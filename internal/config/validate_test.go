package config

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestParsers checks what each parser returns, or its error in parentheses.
func TestParsers(t *testing.T) {
	text := func(parse func(string, Source) (string, error)) func(string) (string, error) {
		return func(s string) (string, error) { return parse(s, option) }
	}
	number := func(s string) (string, error) { n, err := numberTo(maxPort)(s, option); return strconv.Itoa(n), err }
	for name, c := range map[string]struct {
		parse func(string) (string, error)
		rows  map[string]string
	}{
		"hostName": {text(hostName), map[string]string{
			"EP-x.database.us-east-1.cloud.databricks.com.": "ep-x.database.us-east-1.cloud.databricks.com", "localhost": "localhost", "127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1",
			"2001:DB8::1": "2001:db8::1", "a_b.example": "a_b.example", "h.example": "h.example", "a.example,b.example": "(not a host name)", "/var/run/postgresql": "(not a host name)",
			"@abstract": "(not a host name)", "EP-X-POOLER.database.gcp.databricks.com.": "ep-x-pooler.database.gcp.databricks.com", "ep-x.database.cloud.databricks.com..": "(not a host name)",
			"ep-x.databаse.gcp.databricks.com": "(not a host name)", "h.example:5432": "(not a host name)", "h.example..": "(not a host name)",
			"https://h.example": "(not a host name)", "user@h.example": "(not a host name)", "h example": "(not a host name)", "hö.example": "(not a host name)", "": "(not a host name)",
			"fe80::1%eth0": "(not a host name)", "1.2.3": "(not a host name)", "h.example\x00": "(not a host name)", "[h.example]": "(not a host name)", "]::1[": "(not a host name)", "host=evil": "(not a host name)",
		}},
		"databaseHostAddr": {text(databaseHostAddr), map[string]string{"10.0.0.1": "10.0.0.1", "2001:DB8::1": "2001:db8::1", "h.example": "(not an IP address)", "": "(not an IP address)",
			"fe80::1%eth0": "(not an IP address)", "1.2.3": "(not an IP address)", "10.0.0.1,10.0.0.2": "(not an IP address)", "[::1]": "(not an IP address)"}},
		"numberTo": {number, map[string]string{"1": "1", "5432": "5432", "65535": "65535", "": "(not a number)", "0": "(not a number)", "65536": "(not a number)", "-1": "(not a number)", "+5432": "(not a number)",
			"5432,5433": "(not a number)", "0x10": "(not a number)", " 1": "(not a number)", "99999999999999999999": "(not a number)"}},
		"database": {text(database), map[string]string{
			"databricks_postgres": "databricks_postgres", "my db": "my db", "Größe": "Größe", "a/b": "a/b", "postgresql": "postgresql", "x;y": "x;y", strings.Repeat("a", 63): strings.Repeat("a", 63),
			"host=127.0.0.9 sslmode=disable dbname=x": "(connection string)", "postgres://u:hunter2@h/db": "(connection string)", "postgresql://u:hunter2@h/db\n": "(connection string)",
			"POSTGRES://u:hunter2@h/db": "(connection string)", "PostgreSQL:x": "(connection string)", "host=h password=hunter2\n": "(connection string)", "a\x00b": "(control character)",
			"a\u0085b": "(control character)", "a\xffb": "(bytes of UTF-8)", strings.Repeat("a", 64): "(at most 63 bytes)", "dbname = x\tpassword = hunter2 \r": "(connection string)",
		}},
		"user": {text(user), map[string]string{"5f2b7c1e-0000-4000-8000-000000000000": "5f2b7c1e-0000-4000-8000-000000000000", "ann@example.com": "ann@example.com", "a b": "a b",
			"a\x00b": "(control character)", "a\nb": "(control character)", "\x7f": "(control character)", "a\xff": "(not UTF-8)"}},
		"scope": {text(scope), map[string]string{"postgres": "postgres", " sql, postgres sql ": "postgres sql", "iam.current-user:read": "iam.current-user:read", ",": "(not a scope)", " ": "(blank)",
			`"postgres"`: "(not a scope)", "ä": "(not a scope)", "a\nb": "(control character)"}},
		"clientID":      {text(clientID), map[string]string{"5f2b-x": "5f2b-x", "a:b": "(not a client ID)", "a b": "(not a client ID)", "a\x00": "(not a client ID)", "ä": "(not a client ID)"}},
		"listenAddress": {text(listenAddress), map[string]string{"[::1]:1": "[::1]:1", "0.0.0.0:65535": "0.0.0.0:65535", ":1": "(not an IP address)", "[fe80::1%eth0]:1": "(not an IP address)", "127.0.0.1:+1": "(not HOST:PORT)"}},
	} {
		for in, want := range c.rows {
			got, err := c.parse(in)
			if why, refusal := strings.CutPrefix(want, "("); refusal {
				refused(t, err, "--x", strings.TrimSuffix(why, ")"))
			} else if err != nil || got != want {
				t.Errorf("%s(%q): got %q, %v; want %q", name, in, got, err, want)
			}
		}
	}
	_, err := CheckDatabaseHost("x y", "the host of E")
	refused(t, err, "the host of E", "not a host name", "--pghost")
}

func TestIsDatabaseDomain(t *testing.T) {
	for hosts, want := range map[string]bool{
		"ep-x.database.us-east-1.cloud.databricks.com ep-x.database.cloud.databricks.com a.b.database.us-east-1.cloud.databricks.com " +
			"ep-x.database.eastus2.azuredatabricks.net instance-1.database.azuredatabricks.net ep-x.database.us-east1.gcp.databricks.com " +
			"ep-x.database.gcp.databricks.com ep-x-pooler.database.us-east1.gcp.databricks.com " +
			"ep-x.database.us-gov-west-1.cloud.databricks.us ep-x.database.x.databricks.azure.us ep-x.database.x.databricks.azure.cn": true,
		"evil.com  127.0.0.1 x.cloud.databricks.com adb-1.2.azuredatabricks.net x.us-east-1.cloud.databricks.com " +
			"database.cloud.databricks.com .database.cloud.databricks.com database.us-east-1.cloud.databricks.com x.database.cloud.databricks.com.evil.com " +
			"x.database.cloud.databricks.com@evil.com evil.com/x.database.cloud.databricks.com evil.com#x.database.cloud.databricks.com " +
			"evil.com,x.database.cloud.databricks.com evil.com\t.database.cloud.databricks.com evil.com\x00.database.cloud.databricks.com " +
			"x.databasecloud.databricks.com x.database.evilcloud.databricks.com x.databaseevil.us-east-1.cloud.databricks.com x.database.cloud.databricks.co " +
			"x.database.evil-cloud-databricks.com xdatabase.us-east-1.cloud.databricks.com x.database.a.b.cloud.databricks.com x..database.cloud.databricks.com " +
			"x.database..cloud.databricks.com X.DATABASE.CLOUD.DATABRICKS.COM x.database.cloud.databricks.com. " +
			"x.database.gcp.databricks.com.evil.com database.us-east1.gcp.databricks.com x.database.us-east1.evilgcp.databricks.com x.us-east1.gcp.databricks.com " +
			"x.database.us-east1.gcp.databricks.com. X.database.gcp.databricks.com x.databаse.gcp.databricks.com xn--x.xn--databse-1nf.gcp.databricks.com " +
			"x.database.us-east-1.cloud.databricks.com.database.local": false,
	} {
		for _, host := range strings.Split(hosts, " ") {
			if got := IsDatabaseDomain(host); got != want {
				t.Errorf("%q: got %v", host, got)
			}
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.evil.com": false, "127.0.0.1.evil.com": false, "128.0.0.1": false, "0.0.0.0": false, "::": false} {
		if isLoopback(host) != want {
			t.Errorf("%q: got %v", host, !want)
		}
	}
}

func TestPGHostTrusted(t *testing.T) {
	for _, c := range []struct {
		host, pghost string
		from         Origin
		want         bool
	}{
		{"w.example", "private.example", FromOption, true},
		{"w.example", "private.example", FromEnvironment, false},
		{"w.example", "private.example", FromProfile, false},
		{"w.example", "ep.database.us-east-1.cloud.databricks.com", FromEnvironment, true},
		{"w.example", "ep.database.us-east-1.cloud.databricks.com", FromProfile, true},
		{"w.example", "127.0.0.1", FromEnvironment, false},
		{"127.0.0.1:8443", "127.0.0.1", FromEnvironment, true},
		{"localhost", "::1", FromProfile, true},
		{"localhost", "private.example", FromEnvironment, false},
		{"w.example", "", FromDefault, false},
		{"w.example", "", FromOption, false},
	} {
		w, err := ParseWorkspace(c.host, option)
		if err != nil {
			t.Fatal(err)
		}
		conf := Config{Workspace: Value[Workspace]{Value: w}, PGHost: Value[string]{c.pghost, Source{Origin: c.from}}}
		if conf.PGHostTrusted() != c.want {
			t.Errorf("%+v: got %v", c, !c.want)
		}
	}
}

func TestParseWorkspace(t *testing.T) {
	for in, want := range map[string]string{
		"h.example": "https://h.example", "https://h.example": "https://h.example", "https://h.example/": "https://h.example",
		"HTTPS://H.Example.": "https://h.example", "  h.example\n": "https://h.example", "h.example:443": "https://h.example",
		"h.example:0443": "https://h.example", "h.example:8443": "https://h.example:8443", "h.example:08443": "https://h.example:8443",
		"https://h.example/?o=123": "https://h.example/?o=123", "https://h.example?w=123": "https://h.example/?o=123", "https://h.example?o=123&w=123&o=123": "https://h.example/?o=123",
		"https://h.example/?o=123&a=ab-12&x=y#z":               "https://h.example/?a=ab-12&o=123",
		"https://h.example/browse?o=7":                         "https://h.example/?o=7",
		"https://h.example/sql/editor/12-34?o=7#run":           "https://h.example/?o=7",
		"https://h.example/?o=7#workspace/Users/me@h2.example": "https://h.example/?o=7",
		"https://h.example:8443/login.html?next_url=%2F":       "https://h.example:8443",
		"HTTPS://h.example/#/x?o=9":                            "https://h.example",
		"https://h.example/?o=123&a=ab-12&x=y":                 "https://h.example/?a=ab-12&o=123",
		"127.0.0.1:9000":                                       "https://127.0.0.1:9000",
		"[::1]":                                                "https://[::1]",
		"[::1]:443":                                            "https://[::1]",
		"https://[2001:DB8::1]:8443/":                          "https://[2001:db8::1]:8443",
		"localhost":                                            "https://localhost",
		"adb-1.2.azuredatabricks.net":                          "https://adb-1.2.azuredatabricks.net",
	} {
		if w, err := ParseWorkspace(in, option); err != nil || w.String() != want {
			t.Errorf("%q: got %s, %v, want %s", in, w, err, want)
		}
	}
	const page = "the page is not used, only https://h.example/?o=7"
	for host, want := range map[string]string{"https://h.example/browse?o=7": page, "https://h.example/?o=7#x": page, "https://h.example/?o=7": ""} {
		if n := notes(given{env: env("DATABRICKS_HOST", host)}.must(t), "DATABRICKS_HOST"); n != want {
			t.Errorf("%s: got note %q, want %q", host, n, want)
		}
	}
	if w, _ := ParseWorkspace("[::1]:9", option); w.Hostname() != "::1" || w.HostPort() != "[::1]:9" || w.URL() != "https://[::1]:9" {
		t.Errorf("got %q %q %q", w.Hostname(), w.HostPort(), w.URL())
	}
}

func TestParseWorkspace_Rejects(t *testing.T) {
	const malformed = "is not the address of a workspace"
	for in, why := range map[string]string{
		"": "not a host name", "http://h.example": `scheme "http"`, "HTTP://h.example": "is not https", "ftp://h.example": "is not https",
		"https://user:hunter2@h.example": "user name or password", "user:hunter2@h.example": "user name or password",
		"https://us er:hunter2@h.example": "user name or password", "https://h.example//sql": malformed, "h.example/a": malformed, "h.example//": malformed,
		`h.example\evil.com`: malformed, "h.exam%70le": malformed, "h.example/?o=1#x": malformed, "https://user:hunter2/x@h.example": "user name or password", `https://h.example\\x/y`: malformed,
		"https://h.example/browse?o=<x>": "not an ID", "http://h.example/browse?o=1": `scheme "http"`, "https://user:hunter2@h.example/browse?o=1#x": "user name or password",
		"https://hö.example": "not valid in a host", "https://h\u202e.example": "not valid in a host", "h.example\x00": "not valid in a host",
		"h exam.ple": "not valid in a host", "h.example:": malformed, "[::1]:": malformed, "https:h.example": malformed, "https:/h.example": malformed, "https://https:/h.example": malformed, "1::2:3": malformed, "h.example:0": "not a number", "h.example:65536": "not a number",
		"h.example:443:443": malformed, "h.example:-1": malformed, "h.example:+443": malformed, "h.example..": "not a host name", ".h.example": "not a host name",
		"h..example": "not a host name", "-h.example": "not a host name", "h.example,i.example": "not a host name",
		strings.Repeat("a", 64):         "not a host name",
		strings.Repeat("a.", 130) + "b": "not a host name",
		"1.2.3":                         "not a host name", "::1": malformed, "[::1": malformed, "[::1]x": malformed, "[[::1]]": malformed,
		"[1.2.3.4]": malformed, "[fe80::1%25eth0]": "not a host name", "https://https://h.example": malformed, "?o=1": "not a host name",
		"h.example?o=1&w=2": "a second one", "h.example?w=1&o=2": "a second one", "h.example?o=1&o=2": "a second one", "h.example?a=1&a=2": "a second one",
		"h.example?o=<x>": `?o="<x>" is not an ID`, "h.example?o=&w=1&a=<x>": `?a="<x>" is not an ID`,
		"h.example?o=%zz": "invalid query",
	} {
		_, err := ParseWorkspace(in, option)
		refused(t, err, "--x", why)
	}
}

func TestParseDuration_Days(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "730d": 730 * day, "17520h": 730 * day, "36h30m": 36*time.Hour + 30*time.Minute,
		"731d": 0, "0d": 0, "99999d": 0, "-1d": 0, "1.5d": 0, "d": 0, "": 0, "59m": 0, "9999999999h": 0,
	} {
		got, err := ParseDuration(text, "--lifetime", time.Hour, 730*day)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}
