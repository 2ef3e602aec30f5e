package config

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

const databricksText = "\xef\xbb\xbf; the tools' own\r\n[__settings__]\r\ndefault_profile = prod\r\n\r\n" +
	"[DEFAULT]\r\nhost=https://people.example.test # not ours\r\ntoken = dapi0\r\n" +
	"[prod]\r\n  host   = https://One.Example.test/?o=7 # the shop's\r\nclient_id=id-1\r\n" +
	"\tclient_secret\t=\tdose#1;x \t# until August\r\nauth_type = oauth-m2m\r\n ; cluster_id = 0000-abc#1\r\n" +
	"[spog]\r\nhost = two.example.test\r\nworkspace_id = 42\r\nclient_id = id-2\r\nclient_secret = dose2\r\n" +
	"[account]\r\nhost = three.example.test\r\nworkspace_id = none\r\nclient_id = id-3\r\nclient_secret = dose3"

var byHand = Source{FromOption, "--databricks-profile"}

func databricks(t *testing.T, text string) *DatabricksFile {
	t.Helper()
	d, err := ParseDatabricks("/home/u/.databrickscfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestImport(t *testing.T) {
	d := databricks(t, databricksText)
	for _, c := range []struct{ section, host, id, secret string }{
		{"prod", "https://one.example.test/?o=7", "id-1", "dose#1;x"},
		{"spog", "https://two.example.test/?o=42", "id-2", "dose2"},
		{"account", "https://three.example.test", "id-3", "dose3"},
	} {
		im, err := d.Import(c.section, byHand)
		if err != nil {
			t.Errorf("%s: %v", c.section, err)
			continue
		}
		if im.Workspace.Value.String() != c.host || im.ClientID.Value != c.id || im.Secret.Reveal() != c.secret {
			t.Errorf("%s: %s, %s, and the secret is right: %t", c.section, im.Workspace.Value, im.ClientID.Value, im.Secret.Reveal() == c.secret)
		}
		if from := im.Workspace.Source.Name; !strings.Contains(from, "key host of ["+c.section+"] (/home/u/.databrickscfg:") {
			t.Errorf("the host is said to come from %s", from)
		}
	}
}

func TestImport_Rejects(t *testing.T) {
	const head = "[p]\nhost = h.example.test\nclient_id = i\n"
	for _, c := range []struct{ text, section, name, words string }{
		{databricksText, "nobody", "--databricks-profile", "section [nobody]|prod, spog, account"},
		{databricksText, "__settings__", "--databricks-profile", "not found"},
		{databricksText, "DEFAULT", "section [DEFAULT] of /home/u/.databrickscfg", "has no key client_id|prod, spog, account"},
		{head, "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret =\n", "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret = two words\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "is not a secret"},
		{head + "client_secret = 'q'\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "a quote"},
		{head + "client_secret = a\x1bb\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "a control character"},
		{"[p]\nhost = http://h\nclient_id = i\nclient_secret = s\n", "p", "key host of [p] (/home/u/.databrickscfg:2)", "not https"},
		{"[p]\nhost = h\nclient_id = a:b\nclient_secret = s\n", "p", "key client_id of [p] (/home/u/.databrickscfg:3)", "is not a client ID"},
	} {
		_, err := databricks(t, c.text).Import(c.section, byHand)
		refused(t, err, c.name, strings.Split(c.words, "|")...)
	}
	_, err := ParseDatabricks("/f", []byte("[p]\r\nhost = h\r\nnonsense dose1\r\n"))
	refused(t, err, "/f:3", "neither a [profile]")
	if strings.Contains(err.Error(), "dose1") {
		t.Errorf("the line is shown: %v", err)
	}
}

func TestWithoutSecret(t *testing.T) {
	for _, c := range []struct{ section, secret, gone string }{
		{"prod", "dose#1;x", "\tclient_secret\t=\tdose#1;x \t# until August\r\n"},
		{"spog", "dose2", "client_secret = dose2\r\n"},
		{"account", "dose3", "client_secret = dose3"},
	} {
		d := databricks(t, databricksText)
		if _, ok := d.WithoutSecret(c.section, credential.NewSecret("another")); ok {
			t.Errorf("%s: another secret's line was removed", c.section)
		}
		got, ok := d.WithoutSecret(c.section, credential.NewSecret(c.secret))
		if want := strings.Replace(databricksText, c.gone, "", 1); !ok || string(got) != want {
			t.Errorf("%s: %t\n%q\nis not\n%q", c.section, ok, got, want)
		}
		if _, ok := d.WithoutSecret(c.section, credential.NewSecret(c.secret)); ok {
			t.Errorf("%s: it was removed twice", c.section)
		}
	}
	if _, ok := databricks(t, databricksText).WithoutSecret("DEFAULT", credential.Secret{}); ok {
		t.Error("no secret was removed")
	}
}

func TestImport_Conflict(t *testing.T) {
	im, err := databricks(t, databricksText).Import("prod", byHand)
	if err != nil {
		t.Fatal(err)
	}
	taking := func(in *Input) { in.Import, in.NewProfile, in.NoEndpoint = &im, true, true }
	for name, g := range map[string]given{
		"alone":       {},
		"options":     {options: map[string]string{"host": "one.example.test", "client-id": "id-1"}},
		"environment": {env: map[string]string{"DATABRICKS_HOST": "https://ONE.example.test:443/", "DATABRICKS_CLIENT_ID": "id-1"}},
		"profile":     {options: map[string]string{"profile": "p"}, profiles: "[p]\nhost = one.example.test\n"},
	} {
		g.change = taking
		c := g.must(t)
		if c.Workspace.Value.String() != "https://one.example.test/?o=7" || c.ClientID.Value != "id-1" || c.User.Value != "id-1" {
			t.Errorf("%s: %s, %s, %s", name, c.Workspace.Value, c.ClientID.Value, c.User.Value)
		}
		if keys := c.ProfileKeys(); keys["host"] != "https://one.example.test/?o=7" || keys["client_id"] != "id-1" {
			t.Errorf("%s: the profile would be %v", name, keys)
		}
	}
	for name, g := range map[string]given{
		"--host":               {options: map[string]string{"host": "two.example.test"}},
		"--client-id":          {options: map[string]string{"client-id": "id-2"}},
		"DATABRICKS_HOST":      {env: map[string]string{"DATABRICKS_HOST": "one.example.test:8443"}},
		"DATABRICKS_CLIENT_ID": {env: map[string]string{"DATABRICKS_CLIENT_ID": "id-2"}},
		`key host of profile "p" (` + profilesPath + `:2)`: {options: map[string]string{"profile": "p"}, profiles: "[p]\nhost = two.example.test\n"},
	} {
		g.change = taking
		_, err := g.resolve()
		refused(t, err, name, "section [prod] of /home/u/.databrickscfg is for", "leave "+name+" out")
	}
}

func FuzzWithoutSecret(f *testing.F) {
	f.Add([]byte(databricksText), "prod")
	f.Add([]byte("[a]\nhost=h\nclient_id=i\nclient_secret=\"s\" # c\n[b]\nclient_secret=s"), "a")
	f.Fuzz(func(t *testing.T, text []byte, section string) {
		d, err := ParseDatabricks("f", text)
		if err != nil {
			return
		}
		im, err := d.Import(section, byHand)
		if err != nil {
			return
		}
		out, ok := d.WithoutSecret(section, im.Secret)
		if !ok || len(out) >= len(text) {
			t.Fatalf("%t: %q → %q", ok, text, out)
		}
		// One piece is gone, and it is one line of that key.
		n := 0
		for n < len(out) && out[n] == text[n] {
			n++
		}
		rest := out[n:]
		if !strings.HasSuffix(string(text), string(rest)) {
			t.Fatalf("more than one piece is gone: %q → %q", text, out)
		}
		again, err := ParseDatabricks("f", out)
		if err != nil {
			t.Fatalf("%q cannot be read: %v", out, err)
		}
		if _, err := again.Import(section, byHand); err == nil {
			t.Fatalf("the secret is still in %q", out)
		}
	})
}
