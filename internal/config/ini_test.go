package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestINIValues(t *testing.T) {
	const file = "\xef\xbb\xbf# a comment\r\n" +
		"\r\n" +
		"; another = comment\r\n" +
		"[ prod ] ; behind a header\r\n" +
		"host=h.example\r\n" +
		"  client_id  =  a b  \r\n" +
		"database = my#db;x # a comment\r\n" +
		"user = \"a # b ; c\" ; a comment\r\n" +
		"endpoint = \"\"\r\n" +
		"pghost =\r\n" +
		"pgport = # a comment alone\r\n" +
		"cacert = C:\\x\\y=z\t; a comment\r\n" +
		"[empty]\r\n" +
		"[last]\r\n" +
		"host = \"unclosed"
	f, err := parseINI("F", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]iniValue{"host": {"h.example", 5}, "client_id": {"a b", 6}, "database": {"my#db;x", 7}, "user": {"a # b ; c", 8},
		"endpoint": {"", 9}, "pghost": {"", 10}, "pgport": {"", 11}, "cacert": {`C:\x\y=z`, 12}}
	got, ok := f.get("prod")
	if d := cmp.Diff(want, got, cmp.AllowUnexported(iniValue{})); !ok || d != "" {
		t.Error(d)
	}
	if got, ok := f.get("empty"); !ok || len(got) != 0 {
		t.Errorf("an empty section: %v, %v", got, ok)
	}
	if got, _ := f.get("last"); got["host"].text != `"unclosed` {
		t.Errorf("a quote that does not end: %v", got)
	}
	if _, ok := f.get("none"); ok {
		t.Error("a section that is not there is found")
	}
	if d := cmp.Diff([]string{"prod", "empty", "last"}, f.sections()); d != "" {
		t.Error(d)
	}
	if string(f.bytes()) != file {
		t.Errorf("written back as %q", f.bytes())
	}
}

func TestINIErrors(t *testing.T) {
	for in, want := range map[string]struct {
		line int
		text string
	}{
		"[a]\nhost = x\nhost = y\n": {3, "duplicate key host, first in line 2"}, "[a]\n\n[b]\n[a]\n": {4, "duplicate [a], first in line 1"},
		"host = x\n": {1, `key "host" is before the first`}, "[a]\nhost\n": {2, "neither a [profile]"}, "[a]\n= x\n": {2, "neither a [profile]"},
		"[a\n": {1, "not a [profile] header"}, "[]\n": {1, "not a [profile] header"}, "# x\n[  ]\n": {2, "not a [profile] header"},
		"[a] x\n": {1, "not a [profile] header"}, "[a]]\n": {1, "not a [profile] header"}, "[a] client_secret = hunter2": {1, "not a [profile] header"},
		"[a]\r\nhost = \"x\" y\r\n": {2, "after the quoted value"}, "\xef\xbb\xbf\xef\xbb\xbf[a]": {1, "neither a [profile]"},
		"[a]\nclient_secret hunter2": {2, "neither a [profile]"}, "[a]\nx = \"hunter2\"hunter2": {2, "after the quoted value"},
	} {
		_, err := ParseProfiles("/p/profiles.ini", []byte(in))
		refused(t, err, fmt.Sprintf("/p/profiles.ini:%d", want.line), want.text)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a value is shown: %v", err)
		}
	}
}

// Listing what can be imported takes linear time.
func TestManySections(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "[%d]\n", i)
	}
	d := ParseDatabricks("F", []byte(b.String()))
	if _, err := d.Import("none", Source{FromOption, "--databricks-profile"}); err == nil { // hangs if it is quadratic
		t.Error("a missing section was imported")
	}
}

func TestSet(t *testing.T) {
	const file = "# top\n\n[prod]   # ours\nhost = old.example ; why\n\n# between\nuser=  me\t# stays\n\n[next]\nhost = n.example\n"
	for _, c := range []struct {
		name, profile string
		keys          map[string]string
		file, want    string
	}{
		{"replaces in place", "prod", map[string]string{"host": "new.example"}, file, strings.Replace(file, "host = old.example ; why", "host = new.example", 1)},
		{"leaves what is the same", "prod", map[string]string{"host": "old.example", "user": "me"}, file, file},
		{"leaves what is the same and quoted", "prod", map[string]string{"user": "a #b"}, "[prod]\nuser=  \"a #b\" ; why\n", "[prod]\nuser=  \"a #b\" ; why\n"},
		{"adds behind the last setting", "prod", map[string]string{"database": "db"}, file, strings.Replace(file, "# stays\n", "# stays\ndatabase = db\n", 1)},
		{"removes", "prod", map[string]string{"user": ""}, file, strings.Replace(file, "user=  me\t# stays\n", "", 1)},
		{"removes what is not there", "prod", map[string]string{"database": ""}, file, file},
		{"makes a section", "new", map[string]string{"host": "x.example", "client_id": "c"}, file, file + "\n[new]\nhost = x.example\nclient_id = c\n"},
		{"makes a file", "new", map[string]string{"host": "x.example"}, "", "[new]\nhost = x.example\n"},
		{"ends the last line", "prod", map[string]string{"user": "u"}, "[prod]\nhost = h", "[prod]\nhost = h\nuser = u\n"},
		{"keeps CRLF and BOM", "prod", map[string]string{"user": "u"}, "\xef\xbb\xbf[prod]\r\nhost = h\r\n", "\xef\xbb\xbf[prod]\r\nhost = h\r\nuser = u\r\n"},
		{"quotes what needs it", "prod", map[string]string{"user": "a #b", "database": " x "}, "[prod]\n", "[prod]\ndatabase = \" x \"\nuser = \"a #b\"\n"},
	} {
		p, err := ParseProfiles("F", []byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Set(c.profile, c.keys)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%s", c.name, err, cmp.Diff(c.want, string(got)))
		}
	}
}

func TestSet_Rejects(t *testing.T) {
	for _, name := range []string{"", "a]b", "[a", "a\nb", "a\x00b", " a", "a "} {
		p, _ := ParseProfiles("F", nil)
		_, err := p.Set(name, map[string]string{"host": "h"})
		refused(t, err, "--profile", "cannot be a profile's name")
	}
	for key, v := range map[string]string{"host": "a\nb", "user": `a" #b`, "database": "x\n[evil]\nhost = h", "nosuchkey": "x"} {
		p, _ := ParseProfiles("F", nil)
		out, err := p.Set("prod", map[string]string{key: v})
		if err == nil {
			t.Errorf("%s = %q is written as %q", key, v, out)
			continue
		}
	}
	p, _ := ParseProfiles("F", nil)
	_, err := p.Set("prod", map[string]string{"user": "a\nb = c"})
	refused(t, err, "key user", "cannot be written")
}

func TestProfiles(t *testing.T) {
	p, err := ParseProfiles("F", []byte("[a]\nhost = h\n[b]\n"))
	if err != nil || !p.Has("a") || !p.Has("b") || p.Has("c") || p.Value("a", "host") != "h" || p.Value("b", "host") != "" || p.Value("c", "host") != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if d := cmp.Diff([]string{"a", "b"}, p.Names()); d != "" {
		t.Error(d)
	}
}

// A run with a profile reads the values that login wrote to it.
func TestProfileKeysRoundTrip(t *testing.T) {
	options := map[string]string{"host": "https://H.example:8443/?o=12&a=34", "client-id": "c", "endpoint": "projects/p/branches/b/endpoints/e",
		"pghost": "x.database.cloud.databricks.com", "pgport": "5433", "database": "my #db", "user": "u", "sslrootcert": "ca.pem", "cacert": "/b.pem",
		"auth": "oauth-m2m", "audience": "api://x", "databricks-profile": "shop"}
	const sections = "[shop]\nhost = h.example:8443\n"
	first := given{options: options, sections: sections}.must(t)
	p, _ := ParseProfiles("F", nil)
	out, err := p.Set("prod", first.ProfileKeys())
	if err != nil {
		t.Fatal(err)
	}
	second := given{options: map[string]string{"profile": "prod"}, profiles: string(out), sections: sections}.must(t)
	for name, v := range shown(first) {
		if name == "instance" { // an endpoint is the target
			continue
		}
		value, _, _ := strings.Cut(v, " from ")
		if got, from, _ := strings.Cut(shown(second)[name], " from "); got != value || from == "the default" && name != "sslmode" {
			t.Errorf("%s: %s from %s, want %s", name, got, from, value)
		}
	}
	if k := (given{env: env()}).must(t).ProfileKeys(); len(k) != 3 {
		t.Errorf("default values are written: %v", k)
	}
	out, err = p.Set("prod", given{options: map[string]string{"profile": "prod", "instance": "shop"}, profiles: string(out), sections: sections}.must(t).ProfileKeys())
	if c := (given{options: map[string]string{"profile": "prod"}, profiles: string(out), sections: sections}).must(t); err != nil || c.Target() != "instances/shop" || c.PGHost.Given() || c.User.Value != "u" {
		t.Errorf("pointed at an instance: %+v, %v\n%s", c, err, out)
	}
}

func FuzzINIIdentity(f *testing.F) {
	for _, s := range []string{"", "[a]\nb = c\n", "\xef\xbb\xbf[a]\r\nb=\"c\" # d\r\n", "# x\n\n;y\n[a] #\n", "[a]\nb = c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseINI("F", data)
		if err == nil && string(p.bytes()) != string(data) {
			t.Fatalf("%q comes back as %q", data, p.bytes())
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add([]byte("[a]\nhost = x\n"), "a", "user", "y")
	f.Add([]byte("[a]\r\nhost = x"), "b", "host", " # ; \"")
	f.Add([]byte(""), "a", "host", "x\n[b]")
	f.Fuzz(func(t *testing.T, data []byte, profile, key, value string) {
		p, err := ParseProfiles("F", data)
		if err != nil {
			return
		}
		before, _ := ParseProfiles("F", data)
		out, err := p.Set(profile, map[string]string{key: value})
		if err != nil {
			return
		}
		after, err := ParseProfiles("F", out)
		if err != nil || after.Value(profile, key) != value {
			t.Fatalf("%s = %q is read back as %q, %v", key, value, after.Value(profile, key), err)
		}
		for _, s := range before.Names() {
			was, _ := before.file.get(s)
			for k, v := range was {
				if (s != profile || k != key) && after.Value(s, k) != v.text {
					t.Fatalf("[%s] %s was %q and is %q", s, k, v.text, after.Value(s, k))
				}
			}
		}
		if n := len(after.Names()) - len(before.Names()); n < 0 || n > 1 {
			t.Fatalf("%q has other sections than %q", out, data)
		}
		again, err := after.Set(profile, map[string]string{key: value})
		if err != nil || string(again) != string(out) {
			t.Fatalf("the same once more changes %q into %q, %v", out, again, err)
		}
	})
}
