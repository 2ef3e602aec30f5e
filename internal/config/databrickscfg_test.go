package config

import (
	"errors"
	"strings"
	"testing"
)

const (
	sectionsText = "[__settings__]\ndefault_profile = sp\n" +
		"[sp]\nhost = https://Env.cloud.databricks.com/?o=7\nclient_id = env-client\nclient_secret = dose1 # old\naudience = api://sp\n" +
		"[other]\nhost = other.cloud.databricks.com\nclient_id = other-client\nclient_secret = dose2\n" +
		"[me]\nhost = env.cloud.databricks.com\nauth_type = databricks-cli\n" +
		"[token]\nhost = env.cloud.databricks.com\nworkspace_id = 42\ntoken = dapi1\n" +
		"[both]\nhost = env.cloud.databricks.com\nclient_id = c\nclient_secret = dose3\ntoken = dapi3\n" +
		"[chosen]\nhost = env.cloud.databricks.com\nclient_id = c\nclient_secret = dose4\ntoken = dapi4\nauth_type = pat\n" +
		"[azure]\nhost = env.cloud.databricks.com\nauth_type = azure-cli\n" +
		"[nohost]\nclient_id = env-client\nclient_secret = dose5\ntoken = dapi5\n" +
		"[noclient]\nhost = env.cloud.databricks.com\nclient_secret = dose6\n" +
		"[bad]\nhost = env.cloud.databricks.com\nclient_id = c\nclient_secret = hunter2\x1b\n"
	ours = "env.cloud.databricks.com"
)

// bySection chooses a section by variable, with an endpoint beside it. more are name,
// value pairs of variables, and of options if they begin with "--".
func bySection(name string, more ...string) given {
	g := given{env: map[string]string{"LAKEBASE_ENDPOINT": "shop/dev/primary", "DATABRICKS_CONFIG_PROFILE": name}, options: map[string]string{}, sections: sectionsText}
	for i := 0; i+1 < len(more); i += 2 {
		if option, ok := strings.CutPrefix(more[i], "--"); ok {
			g.options[option] = more[i+1]
		} else {
			g.env[more[i]] = more[i+1]
		}
	}
	return g
}

func key(key, section string, line string) string {
	return "key " + key + " of [" + section + "] (/home/u/.databrickscfg:" + line + ")"
}

func TestSection_Target(t *testing.T) {
	for _, choose := range []func(string) given{
		func(n string) given { return bySection(n) },
		func(n string) given { return bySection("", "--databricks-profile", n) },
		func(n string) given {
			return given{options: map[string]string{"profile": "p"}, profiles: "[p]\nendpoint = shop\ndatabricks_profile = " + n + "\n", sections: sectionsText}
		},
	} {
		for name, want := range map[string]string{"sp": ours + " env-client oauth-m2m section:dose1", "me": ours + "  databricks-cli cli:", "token": ours + "  pat section:dapi1", "chosen": ours + "  pat section:dapi4"} {
			c := choose(name).must(t)
			if got := summary(c); got != want || c.User.Value != c.ClientID.Value || c.Workspace.Source.Name == "" || c.DatabricksProfile.Value != name {
				t.Errorf("%s: got %s, want %s; %+v", name, got, want, c)
			}
		}
		c := choose("sp").must(t)
		if c.Workspace.Source.Name != key("host", "sp", "4") || c.Auth.Source.Name != key("client_secret", "sp", "6") || c.AuthOption("audience").Value != "api://sp" {
			t.Errorf("sp: got host from %s, auth from %s, audience %v", c.Workspace.Source, c.Auth.Source, c.AuthOption("audience"))
		}
		if len(c.Warnings) != 1 || c.Warnings[0].Name != c.Secret.Source.Name || !strings.HasSuffix(c.Warnings[0].Why, "lakebase-credential-helper login --import --databricks-profile sp") {
			t.Errorf("sp: got warnings %v", c.Warnings)
		}
		keys := c.ProfileKeys()
		if _, written := keys["databricks_profile"]; written != (c.Profile.Value == "") || written && keys["databricks_profile"] != "sp" || keys["host"] != "https://"+ours+"/?o=7" || keys["auth"] != "" || keys["audience"] != "api://sp" {
			t.Errorf("sp: got profile keys %v", keys)
		}
		if c := choose("me").must(t); c.Auth.Source.Name != key("auth_type", "me", "14") || c.ProfileKeys()["auth"] != "databricks-cli" {
			t.Errorf("me: got %+v", c)
		}
		if c := choose("token").must(t); c.Workspace.Value.WorkspaceID != "42" || len(c.Warnings) != 0 {
			t.Errorf("token: got %+v", c)
		}
		_, err := choose("both").resolve()
		refused(t, err, key("client_secret", "both", "22"), key("token", "both", "23"), "--auth oauth-m2m or --auth pat")
		_, err = choose("azure").resolve()
		refused(t, err, key("auth_type", "azure", "32"), `"azure-cli" is not one of oauth-m2m, external-browser`, "with --auth")
		_, err = choose("bad").resolve()
		refused(t, err, key("client_secret", "bad", "43"), "is not a secret")
	}
}

func TestSection_NotFound(t *testing.T) {
	for _, name := range []string{"nobody", "__settings__"} {
		_, err := bySection(name).resolve()
		refused(t, err, "DATABRICKS_CONFIG_PROFILE", "section ["+name+"] not found in /home/u/.databrickscfg", "name one of these with --databricks-profile: sp, other, me")
	}
	for _, name := range []string{" ", "a\x01"} {
		_, err := bySection(name).resolve()
		refused(t, err, "DATABRICKS_CONFIG_PROFILE", "is blank, contains a control character")
	}
	g := bySection("sp")
	g.sections = ""
	_, err := g.resolve()
	refused(t, err, "DATABRICKS_CONFIG_PROFILE", "section [sp] not found in /home/u/.databrickscfg", "DATABRICKS_CONFIG_FILE")
	broken := errors.New("others can write it")
	g.change = func(in *Input) { in.Databricks = func() (*DatabricksFile, error) { return nil, broken } }
	if _, err := g.resolve(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	g.env = env() // without a chosen section the file is not read
	g.must(t)
}

// Values with the same precedence as the choice of the section must agree with it;
// stronger ones override it, weaker ones are ignored. A secret stays with its owner.
func TestSection_Precedence(t *testing.T) {
	const profile = "[p]\nendpoint = shop\ndatabricks_profile = sp\n"
	inProfile := func(more string) given {
		return given{options: map[string]string{"profile": "p"}, profiles: profile + more, sections: sectionsText}
	}
	_, err := bySection("sp", "DATABRICKS_HOST", "b.cloud.databricks.com").resolve()
	refused(t, err, "DATABRICKS_HOST", `names "b.cloud.databricks.com"`, "section [sp] of /home/u/.databrickscfg is for "+ours, "leave DATABRICKS_HOST out")
	_, err = bySection("sp", "DATABRICKS_CLIENT_ID", "b").resolve()
	refused(t, err, "DATABRICKS_CLIENT_ID", `names "b"`, "section [sp] of /home/u/.databrickscfg is for env-client")
	_, err = inProfile("host = b.example\n").resolve()
	refused(t, err, `key host of profile "p" (`+profilesPath+`:4)`, "section [sp] of")
	_, err = bySection("nohost").resolve()
	refused(t, err, "--host", "DATABRICKS_HOST not set")
	_, err = bySection("sp", "DATABRICKS_OIDC_TOKEN", "j").resolve()
	refused(t, err, "DATABRICKS_OIDC_TOKEN", key("client_secret", "sp", "6"), "--auth env-oidc or --auth oauth-m2m")
	sp := ours + " env-client oauth-m2m section:dose1"
	for _, c := range []struct {
		given
		want, name, note string
	}{
		{bySection("sp", "DATABRICKS_HOST", "ENV.cloud.databricks.com:443", "DATABRICKS_CLIENT_ID", "env-client"), sp, "", ""},
		{inProfile("host = " + ours + "\nclient_id = env-client\n"), sp, "", ""},
		{bySection("", "DATABRICKS_HOST", "b.example", "DATABRICKS_CLIENT_ID", "b", "DATABRICKS_CLIENT_SECRET", "s", "--databricks-profile", "sp"), sp, "DATABRICKS_HOST", "chooses the section [sp]"},
		{bySection("", "DATABRICKS_TOKEN", "t", "--databricks-profile", "sp"), sp, "DATABRICKS_TOKEN", "names a section that has a secret"},
		{bySection("other", "--host", ours, "--client-id", "mine"), ours + " mine  keychain:", "DATABRICKS_CONFIG_PROFILE", "not used: --host names another workspace"},
		{bySection("", "--databricks-profile", "sp", "--host", "b.example", "--client-id", "env-client"), "b.example env-client  keychain:", "--databricks-profile", "not used: --host names another workspace"},
		{bySection("sp", "--client-id", "mine"), ours + " mine  keychain:", key("client_secret", "sp", "6"), "it belongs to the section's client_id"},
		{given{env: map[string]string{"DATABRICKS_CONFIG_PROFILE": "other"}, options: map[string]string{"profile": "prod"}, profiles: prodProfile}, "prod.cloud.databricks.com prod-client  keychain:",
			"DATABRICKS_CONFIG_PROFILE", `profile "prod" defines the target`},
		{bySection("nohost", "DATABRICKS_HOST", ours), ours + " env-client  keychain:", key("client_secret", "nohost", "35"), "names no host"},
		{bySection("nohost", "DATABRICKS_HOST", ours), ours + " env-client  keychain:", key("token", "nohost", "36"), "names no host"},
		{bySection("noclient", "DATABRICKS_CLIENT_ID", "b"), ours + " b  keychain:", key("client_secret", "noclient", "39"), "names no client_id"},
		{bySection("sp", "DATABRICKS_OIDC_TOKEN", "j", "--auth", "env-oidc"), ours + " env-client env-oidc variable:j", key("client_secret", "sp", "6"), "--auth says env-oidc"},
		{bySection("sp", "DATABRICKS_OIDC_TOKEN", "j", "--auth", "oauth-m2m"), sp, "DATABRICKS_OIDC_TOKEN", "--auth says oauth-m2m"},
		{bySection("sp", "DATABRICKS_CLIENT_SECRET", "s"), ours + " env-client oauth-m2m variable:s", key("client_secret", "sp", "6"), "DATABRICKS_CLIENT_SECRET takes precedence"},
		{bySection("me", "DATABRICKS_TOKEN", "t"), ours + "  pat variable:t", "", ""}, // an auth_type is weaker than a credential
		{bySection("azure", "DATABRICKS_AUTH_TYPE", "external-browser"), ours + "  external-browser keychain:", "", ""},
	} {
		conf := c.must(t)
		if got := summary(conf); got != c.want || !strings.Contains(notes(conf, c.name), c.note) {
			t.Errorf("%v %v: got %s, notes %v; want %s, %s", c.env, c.options, got, conf.Notes, c.want, c.note)
		}
		if c.note == "not used: --host names another workspace" {
			if v, removed := conf.ProfileKeys()["databricks_profile"]; !removed || v != "" {
				t.Errorf("%v: got profile keys %v", c.options, conf.ProfileKeys())
			}
		}
	}
}

const databricksText = "\xef\xbb\xbf; the tools' own\r\n[__settings__]\r\ndefault_profile = prod\r\n\r\n" +
	"[DEFAULT]\r\nhost=https://people.example.test # not ours\r\ntoken = dapi0\r\n" +
	"[prod]\r\n  host   = https://One.Example.test/?o=7 # the shop's\r\nclient_id=id-1\r\n" +
	"\tclient_secret\t=\tdose#1;x \t# until August\r\nauth_type = oauth-m2m\r\n ; cluster_id = 0000-abc#1\r\n" +
	"[spog]\r\nhost = two.example.test\r\nworkspace_id = 42\r\nscopes = postgres\r\nclient_id = id-2\r\nclient_secret = dose2\r\n" +
	"[account]\r\nhost = three.example.test\r\nworkspace_id = none\r\nclient_id = id-3\r\nclient_secret = dose3"

func TestImport(t *testing.T) {
	for _, c := range []struct{ section, host, id, secret, scope string }{
		{"prod", "https://one.example.test/?o=7", "id-1", "dose#1;x", ""},
		{"spog", "https://two.example.test/?o=42", "id-2", "dose2", "postgres"},
		{"account", "https://three.example.test", "id-3", "dose3", ""},
	} {
		conf := given{sections: databricksText, imported: c.section}.must(t)
		if conf.Workspace.Value.String() != c.host || conf.ClientID.Value != c.id || conf.Secret.Text.Reveal() != c.secret || len(conf.Warnings) != 0 {
			t.Errorf("%s: got %s, %s, secret right: %t, warnings %v", c.section, conf.Workspace.Value, conf.ClientID.Value,
				conf.Secret.Text.Reveal() == c.secret, conf.Warnings)
		}
		if keys := conf.ProfileKeys(); keys["scope"] != c.scope {
			t.Errorf("%s: got profile keys %v", c.section, keys)
		}
		if from := conf.Workspace.Source.Name; !strings.Contains(from, "key host of ["+c.section+"] (/home/u/.databrickscfg:") {
			t.Errorf("got the host from %s", from)
		}
	}
	const head = "[p]\nhost = h.example.test\nclient_id = i\n"
	for _, c := range []struct{ text, section, name, words string }{
		{databricksText, "nobody", "--import", "section [nobody]|DEFAULT, prod, spog, account"},
		{databricksText, "__settings__", "--import", "not found"},
		{databricksText, "DEFAULT", "section [DEFAULT] of /home/u/.databrickscfg", "has no key client_id|--databricks-profile: prod, spog, account"},
		{head, "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret =\n", "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret = hunter2 words\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "is not a secret"},
		{head + "client_secret = 'hunter2\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", `'\'' at position 1`},
		{"[p]\nhost = http://h\nclient_id = i\nclient_secret = s\n", "p", "key host of [p] (/home/u/.databrickscfg:2)", "not https"},
		{"[p]\nhost = h\nclient_id = a:b\nclient_secret = s\n", "p", "key client_id of [p] (/home/u/.databrickscfg:3)", "is not a client ID"},
	} {
		_, err := given{sections: c.text, imported: c.section}.resolve()
		refused(t, err, c.name, strings.Split(c.words, "|")...)
	}
}

// Every other source must agree with an imported section.
func TestImport_Conflict(t *testing.T) {
	inProfile := func(text string) given {
		return given{options: map[string]string{"profile": "p"}, profiles: "[p]\n" + text + "\n"}
	}
	for name, g := range map[string]given{
		"alone":               {},
		"options":             {options: map[string]string{"host": "one.example.test", "client-id": "id-1"}},
		"environment":         {env: map[string]string{"DATABRICKS_HOST": "https://ONE.example.test:443/", "DATABRICKS_CLIENT_ID": "id-1"}},
		"profile":             inProfile("host = one.example.test"),
		"stray credentials":   {env: map[string]string{"DATABRICKS_TOKEN": "t", "DATABRICKS_CONFIG_PROFILE": "gone", "DATABRICKS_CLIENT_SECRET": "s"}},
		"the section":         {options: map[string]string{"databricks-profile": "prod", "auth": "oauth-m2m"}},
		"a profile's section": inProfile("databricks_profile = sp"),
		"a user's profile": {options: map[string]string{"profile": "p", "auth": "oauth-m2m"},
			profiles: "[p]\nauth = external-browser\nuser = ada@example.com\n"},
	} {
		g.sections, g.imported = databricksText, "prod"
		c := g.must(t)
		if got := summary(c); got != "one.example.test id-1 oauth-m2m section:dose#1;x" || c.User.Value != "id-1" || c.Workspace.Value.WorkspaceID != "7" || notes(c, "DATABRICKS_CONFIG_PROFILE") != "" {
			t.Errorf("%s: got %s, notes %v", name, got, c.Notes)
		}
		keys := c.ProfileKeys()
		section, removed := keys["databricks_profile"]
		if user, gone := keys["user"]; user != "" || gone != (g.options["auth"]+g.options["client-id"] != "") {
			t.Errorf("%s: got user %q, removed %v", name, user, gone)
		}
		if keys["host"] != "https://one.example.test/?o=7" || keys["client_id"] != "id-1" || keys["auth"] != g.options["auth"] || !removed || section != "" {
			t.Errorf("%s: got profile keys %v", name, keys)
		}
	}
	const other = "section [prod] of /home/u/.databrickscfg is for"
	for _, c := range []struct {
		given
		name, text string
	}{
		{given{env: map[string]string{"DATABRICKS_HOST": "one.example.test:8443"}}, "DATABRICKS_HOST", other},
		{given{env: map[string]string{"DATABRICKS_CLIENT_ID": "id-2"}}, "DATABRICKS_CLIENT_ID", other},
	} {
		c.sections, c.imported = databricksText, "prod"
		_, err := c.resolve()
		refused(t, err, c.name, c.text)
	}
}
