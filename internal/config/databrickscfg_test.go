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
	justEndpoint = "LAKEBASE_ENDPOINT"
)

// bySection chooses a section by variable, with an endpoint beside it.
func bySection(name string, more ...string) given {
	g := given{env: map[string]string{justEndpoint: "shop/dev/primary", "DATABRICKS_CONFIG_PROFILE": name}, options: map[string]string{}, sections: sectionsText}
	for i := 0; i+1 < len(more); i += 2 {
		g.env[more[i]] = more[i+1]
	}
	return g
}

func key(key, section string, line string) string {
	return "key " + key + " of [" + section + "] (/home/u/.databrickscfg:" + line + ")"
}

func TestSection_Target(t *testing.T) {
	inProfile := func(name string) given {
		return given{options: map[string]string{"profile": "p"}, profiles: "[p]\nendpoint = shop\ndatabricks_profile = " + name + "\n", sections: sectionsText}
	}
	for _, choose := range []func(string) given{
		func(n string) given { return bySection(n) }, inProfile,
		func(n string) given {
			g := bySection("")
			g.options["databricks-profile"] = n
			return g
		},
	} {
		c := choose("sp").must(t)
		if c.Workspace.Value.String() != "https://env.cloud.databricks.com/?o=7" || c.ClientID.Value != "env-client" || c.User.Value != "env-client" || c.Auth.Value != "oauth-m2m" || c.Audience.Value != "api://sp" ||
			c.Secret.Kind != SecretInSection || c.Secret.Text.Reveal() != "dose1" || c.DatabricksProfile.Value != "sp" {
			t.Errorf("sp: %+v", c)
		}
		if c.Workspace.Source.Name != key("host", "sp", "4") || c.Auth.Source.Name != key("client_secret", "sp", "6") {
			t.Errorf("sp: host from %s, auth from %s", c.Workspace.Source, c.Auth.Source)
		}
		if len(c.Warnings) != 1 || c.Warnings[0].Name != c.Secret.Source.Name || !strings.HasSuffix(c.Warnings[0].Why, "lakebase-credential-helper login --import --databricks-profile sp") {
			t.Errorf("sp: warnings %v", c.Warnings)
		}
		keys := c.ProfileKeys()
		if keys["databricks_profile"] != "sp" || keys["host"] != c.Workspace.Value.String() || keys["auth"] != "" || keys["audience"] != "api://sp" {
			t.Errorf("sp: a profile would be %v", keys)
		}
		c = choose("me").must(t)
		if c.Auth.Value != "databricks-cli" || c.Auth.Source.Name != key("auth_type", "me", "14") || c.Secret.Kind != SecretFromCLI || c.ClientID.Value != "" || c.ProfileKeys()["auth"] != "databricks-cli" {
			t.Errorf("me: %+v", c)
		}
		c = choose("token").must(t)
		if c.Auth.Value != "pat" || c.Secret.Text.Reveal() != "dapi1" || c.Workspace.Value.WorkspaceID != "42" || c.User.Value != "" || len(c.Warnings) != 0 {
			t.Errorf("token: %+v", c)
		}
		c = choose("chosen").must(t)
		if c.Auth.Value != "pat" || c.Secret.Text.Reveal() != "dapi4" || c.ClientID.Value != "" {
			t.Errorf("chosen: %+v", c)
		}
		_, err := choose("both").resolve()
		refused(t, err, key("client_secret", "both", "22"), key("token", "both", "23"), "--auth oauth-m2m or --auth pat")
		_, err = choose("azure").resolve()
		refused(t, err, key("auth_type", "azure", "32"), `"azure-cli" is not one of oauth-m2m, external-browser`, "with --auth")
		_, err = choose("bad").resolve()
		refused(t, err, key("client_secret", "bad", "43"), "is not a secret")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is shown: %v", err)
		}
	}
}

func TestSection_NotFound(t *testing.T) {
	for _, name := range []string{"nobody", "__settings__"} {
		_, err := bySection(name).resolve()
		refused(t, err, "DATABRICKS_CONFIG_PROFILE", "section ["+name+"] not found in /home/u/.databrickscfg", "name one of these with --databricks-profile: sp, other, me")
	}
	g := bySection("sp")
	g.sections = ""
	_, err := g.resolve()
	refused(t, err, "DATABRICKS_CONFIG_PROFILE", "section [sp] not found: ", "/home/u/.databrickscfg", "DATABRICKS_CONFIG_FILE")
	broken := errors.New("others can write it")
	g.change = func(in *Input) { in.Databricks = func() (*DatabricksFile, error) { return nil, broken } }
	if _, err := g.resolve(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	// Without a chosen section the file is not read.
	g.env = env()
	g.must(t)
	for _, name := range []string{" ", "a\x01"} {
		_, err := bySection(name).resolve()
		refused(t, err, "DATABRICKS_CONFIG_PROFILE", "not the name of a section")
	}
}

// Values with the same precedence as the choice of the section must agree with it.
func TestSection_Conflict(t *testing.T) {
	_, err := bySection("sp", "DATABRICKS_HOST", "b.cloud.databricks.com").resolve()
	refused(t, err, "DATABRICKS_HOST", `names "b.cloud.databricks.com"`, "section [sp] of /home/u/.databrickscfg is for env.cloud.databricks.com", "leave DATABRICKS_HOST out")
	_, err = bySection("sp", "DATABRICKS_CLIENT_ID", "b").resolve()
	refused(t, err, "DATABRICKS_CLIENT_ID", `names "b"`, "section [sp] of /home/u/.databrickscfg is for env-client")
	c := bySection("sp", "DATABRICKS_HOST", "ENV.cloud.databricks.com:443", "DATABRICKS_CLIENT_ID", "env-client").must(t)
	if c.Workspace.Source.Name != "DATABRICKS_HOST" || c.Workspace.Value.WorkspaceID != "7" || c.Secret.Text.Reveal() != "dose1" {
		t.Errorf("they agree: %+v", c)
	}
	const profile = "[p]\nendpoint = shop\ndatabricks_profile = sp\n"
	g := given{options: map[string]string{"profile": "p"}, profiles: profile + "host = b.example\n", sections: sectionsText}
	_, err = g.resolve()
	refused(t, err, `key host of profile "p" (`+profilesPath+`:4)`, "section [sp] of")
	g.profiles = profile + "host = env.cloud.databricks.com\nclient_id = env-client\n"
	g.must(t)
}

func TestSection_Precedence(t *testing.T) {
	// An option's section replaces what environment or profile say.
	g := bySection("", "DATABRICKS_HOST", "b.cloud.databricks.com", "DATABRICKS_CLIENT_ID", "b", "DATABRICKS_CLIENT_SECRET", "s", "DATABRICKS_TOKEN", "t")
	g.options["databricks-profile"] = "sp"
	c := g.must(t)
	if c.Workspace.Value.HostPort() != "env.cloud.databricks.com" || c.ClientID.Value != "env-client" || c.Secret.Text.Reveal() != "dose1" || !strings.Contains(notes(c, "DATABRICKS_HOST"), "chooses the section [sp]") {
		t.Errorf("%+v", c)
	}
	g = bySection("", "DATABRICKS_TOKEN", "t")
	g.options["databricks-profile"] = "sp"
	if c := g.must(t); c.Secret.Text.Reveal() != "dose1" || !strings.Contains(notes(c, "DATABRICKS_TOKEN"), "names a section that has a secret") {
		t.Errorf("%+v", c.Secret)
	}
	// An option for another host puts the section aside, whoever it is about.
	g = bySection("other")
	g.options["host"], g.options["client-id"] = "env.cloud.databricks.com", "mine"
	c = g.must(t)
	keys := c.ProfileKeys()
	if v, removed := keys["databricks_profile"]; c.DatabricksProfile.Value != "" || c.ClientID.Value != "mine" || c.Auth.Value != "" || c.Secret.Kind != SecretInKeychain || !removed || v != "" ||
		notes(c, "DATABRICKS_CONFIG_PROFILE") != "not used: --host names another workspace" {
		t.Errorf("%+v", c)
	}
	g = bySection("")
	g.options["databricks-profile"], g.options["host"], g.options["client-id"] = "sp", "b.example", "env-client"
	if c := g.must(t); c.Secret.Kind != SecretInKeychain || c.Workspace.Value.HostPort() != "b.example" || notes(c, "--databricks-profile") != "not used: --host names another workspace" {
		t.Errorf("%+v", c)
	}
	// Another client ID leaves the host, and the secret to its owner.
	g = bySection("sp")
	g.options["client-id"] = "mine"
	c = g.must(t)
	if c.Workspace.Value.HostPort() != "env.cloud.databricks.com" || c.Secret.Kind != SecretInKeychain || c.ClientID.Value != "mine" || !strings.Contains(notes(c, key("client_secret", "sp", "6")), "it belongs to the section's client_id") {
		t.Errorf("%+v", c)
	}
	// With a profile of ours, the variable is another target's.
	g = given{env: map[string]string{"DATABRICKS_CONFIG_PROFILE": "other"}, options: map[string]string{"profile": "prod"}, profiles: prodProfile}
	if c := g.must(t); c.DatabricksProfile.Given() || notes(c, "DATABRICKS_CONFIG_PROFILE") == "" {
		t.Errorf("%+v", c)
	}
}

func TestSection_SecretWithoutHost(t *testing.T) {
	c := bySection("nohost", "DATABRICKS_HOST", "b.cloud.databricks.com").must(t)
	if c.Auth.Value != "" || c.Secret.Kind != SecretInKeychain || c.ClientID.Value != "env-client" || !strings.Contains(notes(c, key("client_secret", "nohost", "35")), "names no host") ||
		!strings.Contains(notes(c, key("token", "nohost", "36")), "names no host") {
		t.Errorf("%+v", c)
	}
	c = bySection("noclient", "DATABRICKS_CLIENT_ID", "b").must(t)
	if c.Secret.Kind != SecretInKeychain || !strings.Contains(notes(c, key("client_secret", "noclient", "39")), "names no client_id") {
		t.Errorf("%+v", c)
	}
	_, err := bySection("nohost").resolve()
	refused(t, err, "--host", "DATABRICKS_HOST not set")
}

func TestSection_AnotherType(t *testing.T) {
	_, err := bySection("sp", "DATABRICKS_OIDC_TOKEN", "j").resolve()
	refused(t, err, "DATABRICKS_OIDC_TOKEN", key("client_secret", "sp", "6"), "--auth env-oidc or --auth oauth-m2m")
	for word, kind := range map[string]SecretKind{"env-oidc": SecretInEnvironment, "oauth-m2m": SecretInSection} {
		g := bySection("sp", "DATABRICKS_OIDC_TOKEN", "j")
		g.options["auth"] = word
		if c := g.must(t); c.Secret.Kind != kind {
			t.Errorf("--auth %s: %+v", word, c.Secret)
		}
	}
	// The same type from the environment takes precedence; an auth_type is weaker than
	// a credential.
	c := bySection("sp", "DATABRICKS_CLIENT_SECRET", "s").must(t)
	if c.Secret.Text.Reveal() != "s" || len(c.Warnings) != 0 || !strings.Contains(notes(c, key("client_secret", "sp", "6")), "DATABRICKS_CLIENT_SECRET takes precedence") {
		t.Errorf("%+v", c.Secret)
	}
	if c := bySection("me", "DATABRICKS_TOKEN", "t").must(t); c.Auth.Value != "pat" || c.Secret.Text.Reveal() != "t" {
		t.Errorf("%+v", c.Auth)
	}
	if c := bySection("azure", "DATABRICKS_AUTH_TYPE", "external-browser").must(t); c.Auth.Value != "external-browser" {
		t.Errorf("%+v", c.Auth)
	}
}

func TestImport_AuthType(t *testing.T) {
	im, err := databricks(sectionsText).Import("sp", byHand)
	if err != nil {
		t.Fatal(err)
	}
	taking := func(in *Input) { in.Import, in.NewProfile, in.NoEndpoint = &im, true, true }
	for name, g := range map[string]given{
		"a token lies about":     {env: map[string]string{"DATABRICKS_TOKEN": "t", "DATABRICKS_CONFIG_PROFILE": "gone", "DATABRICKS_AUTH_TYPE": "pat"}},
		"the section is named":   {options: map[string]string{"databricks-profile": "sp", "auth": "oauth-m2m"}},
		"a profile named it too": {env: map[string]string{"DATABRICKS_CONFIG_PROFILE": "sp"}, options: map[string]string{"profile": "p"}, profiles: "[p]\ndatabricks_profile = sp\n"},
	} {
		g.change = taking
		c := g.must(t)
		if _, said := g.options["auth"]; said != (c.ProfileKeys()["auth"] != "") {
			t.Errorf("%s: a profile would be %v", name, c.ProfileKeys())
		}
		if v, removed := c.ProfileKeys()["databricks_profile"]; c.Auth.Value != "oauth-m2m" || c.ClientID.Value != "env-client" || c.DatabricksProfile.Value != "" || !removed || v != "" || notes(c, "DATABRICKS_CONFIG_PROFILE") != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for name, g := range map[string]given{
		"--auth": {options: map[string]string{"auth": "pat"}},
		`key auth of profile "p" (` + profilesPath + `:2)`: {options: map[string]string{"profile": "p"}, profiles: "[p]\nauth = external-browser\n"},
	} {
		g.change = taking
		_, err := g.resolve()
		refused(t, err, name, "section [sp]", "give --auth oauth-m2m")
	}
}

const databricksText = "\xef\xbb\xbf; the tools' own\r\n[__settings__]\r\ndefault_profile = prod\r\n\r\n" +
	"[DEFAULT]\r\nhost=https://people.example.test # not ours\r\ntoken = dapi0\r\n" +
	"[prod]\r\n  host   = https://One.Example.test/?o=7 # the shop's\r\nclient_id=id-1\r\n" +
	"\tclient_secret\t=\tdose#1;x \t# until August\r\nauth_type = oauth-m2m\r\n ; cluster_id = 0000-abc#1\r\n" +
	"[spog]\r\nhost = two.example.test\r\nworkspace_id = 42\r\nclient_id = id-2\r\nclient_secret = dose2\r\n" +
	"[account]\r\nhost = three.example.test\r\nworkspace_id = none\r\nclient_id = id-3\r\nclient_secret = dose3"

var byHand = Source{FromOption, "--databricks-profile"}

func TestImport(t *testing.T) {
	d := databricks(databricksText)
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
		if im.section.workspace.Value.String() != c.host || im.section.clientID.Value != c.id || im.Secret.Reveal() != c.secret {
			t.Errorf("%s: %s, %s, and the secret is right: %t", c.section, im.section.workspace.Value, im.section.clientID.Value, im.Secret.Reveal() == c.secret)
		}
		if from := im.section.workspace.Source.Name; !strings.Contains(from, "key host of ["+c.section+"] (/home/u/.databrickscfg:") {
			t.Errorf("the host is said to come from %s", from)
		}
	}
}

func TestImport_Rejects(t *testing.T) {
	const head = "[p]\nhost = h.example.test\nclient_id = i\n"
	for _, c := range []struct{ text, section, name, words string }{
		{databricksText, "nobody", "--databricks-profile", "section [nobody]|DEFAULT, prod, spog, account"},
		{databricksText, "__settings__", "--databricks-profile", "not found"},
		{databricksText, "DEFAULT", "section [DEFAULT] of /home/u/.databrickscfg", "has no key client_id|prod, spog, account"},
		{head, "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret =\n", "p", "section [p] of /home/u/.databrickscfg", "has no key client_secret"},
		{head + "client_secret = two words\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "is not a secret"},
		{head + "client_secret = 'q\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "a quotation mark (') at position 1"},
		{head + "client_secret = a\x1bb\n", "p", "key client_secret of [p] (/home/u/.databrickscfg:4)", "a control character"},
		{"[p]\nhost = http://h\nclient_id = i\nclient_secret = s\n", "p", "key host of [p] (/home/u/.databrickscfg:2)", "not https"},
		{"[p]\nhost = h\nclient_id = a:b\nclient_secret = s\n", "p", "key client_id of [p] (/home/u/.databrickscfg:3)", "is not a client ID"},
	} {
		_, err := databricks(c.text).Import(c.section, byHand)
		refused(t, err, c.name, strings.Split(c.words, "|")...)
	}
}

func TestImport_Conflict(t *testing.T) {
	im, err := databricks(databricksText).Import("prod", byHand)
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
