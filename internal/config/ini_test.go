package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func databricks(text string) *DatabricksFile {
	return ParseDatabricks("/home/u/.databrickscfg", []byte(text))
}

// What the parser of the Databricks SDK reads is read with the same result.
func TestParseINI(t *testing.T) {
	for text, want := range map[string]string{
		"[ p ] ; behind a header\r\nhost=h.example\r\n  client_id  =  a b  \r\n": "host=h.example client_id=a b",
		"[p]\nhost = my#db;x # a comment\nclient_id = \"a # b ; c\" ; why\n":     "host=my#db;x client_id=a # b ; c",
		"[p]\nscopes = \"\"\nhost =\nclient_id = # a comment alone\n":            "scopes= host= client_id=",
		"[p]\nhost = C:\\x\\y=z\t; c\nclient_id = \"unclosed":                    "host=C:\\x\\y=z client_id=\"unclosed",
		"[p]\nhost: h.example\nclient_id = a:b\n":                                "host=h.example client_id=a:b",
		"[p]\nhost = https://h.example:8443\n":                                   "host=https://h.example:8443",
		"[p]\nhost = \"h.example\" # c\nclient_id = 'i' ; c\n":                   "host=h.example client_id=i",
		"[p]\nhost = \"a\" b\nclient_id = it's\n":                                "host=\"a\" b client_id=it's",
		"[p]\nhost = old\nhost = new\n":                                          "host=new",
		"[p]\nhost = h\n[q]\nhost = x\n[p]\nclient_id = i\n":                     "host=h client_id=i",
		"\ufeffhost = d\n[p]\nhost = h\n":                                        "host=h",
		"[p] trailing\n\"host\" = h\n`client_id`: i\n":                           "host=h client_id=i",
		"[p]\nhost = `h`\nclient_id = \"\"\"i # x\"\"\" ; c\n":                   "host=h client_id=i # x",
		"[p]\nscopes = `a,\n[q]\nhost = b`\nhost = h\n":                          "scopes=a,\n[q]\nhost = b host=h",
		"[p]\nhost = h.ex\\\n  ample\nclient_id = i\n":                           "host=h.example client_id=i",
		"nonsense\n[q\nhost = x\n[p]\nhost = h\n[r]\nnonsense\n":                 "host=h", // in other sections
	} {
		d := databricks(text)
		values, ok := d.sections["p"]
		var got []string
		for _, key := range []string{"scopes", "host", "client_id"} {
			if v, ok := values[key]; ok {
				got = append(got, key+"="+v.value)
			}
		}
		if err := d.problem("p"); !ok || err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	values := databricks("host: d.example\n[p]\nhost = h\n[DEFAULT]\nclient_id = i\n").sections["DEFAULT"]
	if host, id := values["host"], values["client_id"]; host.value != "d.example" || host.number != 1 || id.value != "i" || id.number != 5 {
		t.Errorf("keys before the first section: got %v", values)
	}
	for text, line := range map[string]string{"[p]\r\nhost = h\r\nnonsense hunter2\r\n": "3", "[p]\nhost = h\n[q hunter2\n": "3", "[p]\n= hunter2\n": "2", "[p]\nhost = `hunter2\n": "2"} {
		_, err := given{sections: text, imported: "p"}.resolve()
		refused(t, err, "/home/u/.databrickscfg:"+line, "this line")
	}
}

func TestParseProfiles_Rejects(t *testing.T) {
	for in, want := range map[string]struct {
		line int
		text string
	}{
		"[a]\nhost = x\nhost = y\n": {3, "duplicate key host, first in line 2"}, "[a]\n\n[b]\n[a]\n": {4, "duplicate [a]"},
		"host = x\n": {1, `key "host" is before the first`}, "[a]\nhost\n": {2, "neither a [profile]"}, "[a]\n= x\n": {2, "neither a [profile]"},
		"[a\n": {1, "not a [profile] header"}, "[]\n": {1, "not a [profile] header"}, "# x\n[  ]\n": {2, "not a [profile] header"},
		"\xef\xbb\xbf\xef\xbb\xbf[a]": {1, "neither a [profile]"}, "[a]\nclient_secret hunter2": {2, "neither a [profile]"}, "[a]\nx = `hunter2": {2, "does not end"},
	} {
		_, err := ParseProfiles("/p/profiles.ini", []byte(in))
		refused(t, err, fmt.Sprintf("/p/profiles.ini:%d", want.line), want.text)
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
		{"removes", "prod", map[string]string{"user": "", "database": ""}, file, strings.Replace(file, "user=  me\t# stays\n", "", 1)},
		{"makes a section", "new", map[string]string{"host": "x.example", "client_id": "c"}, file, file + "\n[new]\nhost = x.example\nclient_id = c\n"},
		{"makes a file", "new", map[string]string{"host": "x.example"}, "", "[new]\nhost = x.example\n"},
		{"ends the last line", "prod", map[string]string{"user": "u"}, "[prod]\nhost = h", "[prod]\nhost = h\nuser = u\n"},
		{"keeps CRLF and BOM", "prod", map[string]string{"user": "u"}, "\xef\xbb\xbf[prod]\r\nhost = h\r\n", "\xef\xbb\xbf[prod]\r\nhost = h\r\nuser = u\r\n"},
		{"quotes what needs it", "prod", map[string]string{"user": "a #b", "database": " x ", "cacert": `C:\d\`}, "[prod]\n", "[prod]\ndatabase = \" x \"\nuser = \"a #b\"\ncacert = \"C:\\d\\\"\n"},
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
	for _, name := range []string{"", "a]b", "[a", "a\nb", "a\x00b", " a", "a "} {
		p, _ := ParseProfiles("F", nil)
		_, err := p.Set(name, map[string]string{"host": "h"})
		refused(t, err, "--profile", "cannot be a profile's name")
	}
	for key, v := range map[string]string{"host": "a\nb = c", "user": `a" #b`, "database": "x\n[evil]\nhost = h"} {
		p, _ := ParseProfiles("F", nil)
		_, err := p.Set("prod", map[string]string{key: v})
		refused(t, err, "key "+key, "cannot be written")
	}
}

// A run with a profile reads the values that login wrote to it.
func TestProfileKeys_RoundTrip(t *testing.T) {
	options := map[string]string{"host": "https://H.example:8443/?o=12&a=34", "client-id": "c", "endpoint": "projects/p/branches/b/endpoints/e",
		"pghost": "x.database.cloud.databricks.com", "pgport": "5433", "database": "my #db", "user": "u", "sslrootcert": "ca.pem", "cacert": "/b.pem",
		"auth": "oauth-m2m", "databricks-profile": "shop", "scope": "postgres"}
	for name := range (given{env: env()}).must(t).authOptions {
		options[name] = "api://x"
	}
	const sections = "[shop]\nhost = h.example:8443\n"
	first := given{options: options, sections: sections}.must(t)
	p, _ := ParseProfiles("F", nil)
	out, err := p.Set("prod", first.ProfileKeys())
	if err != nil {
		t.Fatal(err)
	}
	second := given{options: map[string]string{"profile": "prod"}, profiles: string(out), sections: sections}.must(t)
	for name, v := range shown(first) {
		value, _, _ := strings.Cut(v, " from ")
		if got, from, _ := strings.Cut(shown(second)[name], " from "); name != "instance" && (got != value || from == "the default" && name != "sslmode") {
			t.Errorf("%s: got %s from %s, want %s", name, got, from, value)
		}
	}
	if k := (given{env: env()}).must(t).ProfileKeys(); len(k) != 3 {
		t.Errorf("default values are written: %v", k)
	}
	out, err = p.Set("prod", given{options: map[string]string{"profile": "prod", "instance": "shop"}, profiles: string(out), sections: sections}.must(t).ProfileKeys())
	if c := (given{options: map[string]string{"profile": "prod"}, profiles: string(out), sections: sections}).must(t); err != nil || c.Target().Value != "instances/shop" || c.PGHost.Given() || c.User.Value != "u" {
		t.Errorf("changed to an instance: got %+v, %v\n%s", c, err, out)
	}
}

func TestWithoutSecret(t *testing.T) {
	const another = "[p]\nclient_secret = another\n"
	for text, want := range map[string]string{
		"\xef\xbb\xbf; c\r\n[p]\r\n  host   = h\r\n\tclient_secret\t=\tdose1 \t# until\r\nauth_type = pat\r\n ; x\r\n[q]\r\nclient_secret=dose1\r\n": "" +
			"\xef\xbb\xbf; c\r\n[p]\r\n  host   = h\r\nauth_type = pat\r\n ; x\r\n[q]\r\nclient_secret=dose1\r\n",
		"[p]\nhost = h\nclient_secret = dose1":                                    "[p]\nhost = h\n",
		"[p]\nclient_secret: \"dose1\" # c\nhost: h\n":                            "[p]\nhost: h\n",
		"client_secret = x\n[p]\nclient_secret = old\nclient_secret = dose1\n":    "client_secret = x\n[p]\n",
		"[p]\nhost = h\n[q]\nnonsense\n[p]\nclient_secret = `dose1`\n[q]\nhost=x": "[p]\nhost = h\n[q]\nnonsense\n[p]\n[q]\nhost=x",
		"[p]\nclient_secret = dose\\\n1\nhost = h\n":                              "[p]\nhost = h\n",
		another: "", "[p]\nhost = h\n": "", "[p]\nclient_secret =\n": "", "": "",
	} {
		got, ok := databricks(text).WithoutSecret("p", credential.NewSecret("dose1"))
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q: got %q, %t; want %q", text, got, ok, want)
		}
		if _, ok := databricks(text).WithoutSecret("p", credential.Secret{}); ok {
			t.Errorf("%q: no secret was removed", text)
		}
	}
}

func FuzzParseINI(f *testing.F) {
	for _, s := range []string{"", "[a]\nb = c\n", "\xef\xbb\xbf[a]\r\nb=\"c\" # d\r\n", "# x\n\n;y\n[a] #\n", "[a]\nhost=h\nclient_id=i\nclient_secret=\"s\" # c\n[b]\nclient_secret=s"} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, section string) {
		d := ParseDatabricks("F", data)
		if string(d.bytes()) != string(data) {
			t.Fatalf("%q: got %q back", data, d.bytes())
		}
		secret := credential.NewSecret(d.Value(section, "client_secret"))
		if secret.IsZero() {
			return
		}
		out, ok := d.WithoutSecret(section, secret)
		if ParseDatabricks("F", out).Value(section, "client_secret") != "" || !ok || len(out) >= len(data) {
			t.Fatalf("%q: got %t, %q; want it without the secret", data, ok, out)
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add([]byte("[a]\nhost = x\n"), "a", "user", "y")
	f.Add([]byte("[a]\r\nhost = x"), "b", "host", " # ; \"")
	f.Add([]byte(""), "a", "host", "x\n[b]")
	f.Add([]byte("[a]\nhost = x\\"), "a", "user", "`\\")
	f.Fuzz(func(t *testing.T, data []byte, profile, key, value string) {
		p, err := ParseProfiles("F", data)
		if err != nil || !slices.Contains(keys(), key) {
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
			for k, v := range before.sections[s] {
				if (s != profile || k != key) && after.Value(s, k) != v.value {
					t.Fatalf("[%s] %s was %q and is %q", s, k, v.value, after.Value(s, k))
				}
			}
		}
		if n := len(after.Names()) - len(before.Names()); n < 0 || n > 1 {
			t.Fatalf("%q has other sections than %q", out, data)
		}
		again, err := after.Set(profile, map[string]string{key: value})
		if err != nil || string(again) != string(out) {
			t.Fatalf("a second time: got %q, %v; want %q", again, err, out)
		}
	})
}
