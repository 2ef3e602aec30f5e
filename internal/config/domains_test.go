package config

import "testing"

func TestIsDatabaseDomain(t *testing.T) {
	for host, want := range map[string]bool{
		"ep-x.database.us-east-1.cloud.databricks.com": true, "ep-x.database.cloud.databricks.com": true, "instance-1.database.cloud.databricks.com": true,
		"a.b.database.us-east-1.cloud.databricks.com": true, "ep-x.database.eastus2.azuredatabricks.net": true,
		"instance-1.database.azuredatabricks.net": true, "ep-x.database.us-east1.gcp.databricks.com": true,
		"ep-x.database.us-gov-west-1.cloud.databricks.us": true, "ep-x.database.x.databricks.azure.us": true, "ep-x.database.x.databricks.azure.cn": true,
		"evil.com": false, "": false,
		"x.cloud.databricks.com":           false, // a workspace
		"adb-1.2.azuredatabricks.net":      false, // a workspace
		"x.us-east-1.cloud.databricks.com": false, "database.cloud.databricks.com": false, ".database.cloud.databricks.com": false,
		"database.us-east-1.cloud.databricks.com": false, "x.database.cloud.databricks.com.evil.com": false,
		"x.database.cloud.databricks.com@evil.com": false, "evil.com/x.database.cloud.databricks.com": false,
		"evil.com#x.database.cloud.databricks.com": false, "evil.com,x.database.cloud.databricks.com": false,
		"evil.com x.database.cloud.databricks.com": false, "evil.com\x00.database.cloud.databricks.com": false, "x.databasecloud.databricks.com": false,
		"x.database.evilcloud.databricks.com": false, "x.databaseevil.us-east-1.cloud.databricks.com": false, "x.database.cloud.databricks.co": false,
		"x.database.evil-cloud-databricks.com": false, "xdatabase.us-east-1.cloud.databricks.com": false, "x.database.a.b.cloud.databricks.com": false,
		"x..database.cloud.databricks.com": false, "x.database..cloud.databricks.com": false,
		"X.DATABASE.CLOUD.DATABRICKS.COM":  false, // hosts come lower case
		"x.database.cloud.databricks.com.": false,
		"127.0.0.1":                        false,
		"x.database.us-east-1.cloud.databricks.com.database.local": false,
	} {
		if got := IsDatabaseDomain(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestIsPoolerAndLoopback(t *testing.T) {
	for host, want := range map[string]bool{"ep-x-pooler.database.cloud.databricks.com": true, "x-pooler": true, "ep-x.database.cloud.databricks.com": false, "ep-pooler-x.example": false, "x.y-pooler.example": false} {
		if IsPooler(host) != want {
			t.Errorf("pooler: %q", host)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.evil.com": false, "127.0.0.1.evil.com": false, "128.0.0.1": false, "0.0.0.0": false, "::": false, "]::1[": false} {
		if IsLoopback(host) != want {
			t.Errorf("loopback: %q", host)
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
			t.Errorf("%+v", c)
		}
	}
}
