package config

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestSettingsTable(t *testing.T) {
	options, keys, variables := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range Settings() {
		for _, v := range s.Env {
			if variables[v] {
				t.Errorf("%s is listed twice", v)
			}
			variables[v] = true
		}
		if options[s.Option] || s.Alias != "" && options[s.Alias] || s.Key != "" && keys[s.Key] {
			t.Errorf("--%s is listed twice", s.Option)
		}
		options[s.Option], options[s.Alias], keys[s.Key] = true, true, true
		if s.Target && (s.Key == "" || len(s.Env) == 0) {
			t.Errorf("--%s is of the target, and cannot be given whole by profile or environment", s.Option)
		}
	}
	if i := slices.IndexFunc(Settings(), func(s Setting) bool { return s.Option == "pghostaddr" }); i < 0 || len(Settings()[i].Env) != 0 || Settings()[i].Key != "" {
		t.Error("--pghostaddr can be inherited")
	}
}

func TestStrings(t *testing.T) {
	if s := (Source{}).String(); s != "the default" {
		t.Error(s)
	}
	if (Value[int]{Value: 1}).Given() || !(Value[int]{Source: option}).Given() {
		t.Error("Given is wrong")
	}
	if n := (Note{"A", "b"}).String(); n != "A: b" {
		t.Error(n)
	}
	if e := (&Error{Problem: "p"}).Error(); e != "p" {
		t.Error(e)
	}
}

func TestRefresh(t *testing.T) {
	target := map[string]string{"DATABRICKS_HOST": "w.example", "DATABRICKS_CLIENT_ID": "c", "LAKEBASE_ENDPOINT": "projects/p/branches/b/endpoints/e"}
	resolve := func(env string, options ...string) (Config, error) {
		in := Input{Options: map[string][]string{}, Environ: map[string]string{}, Dir: "/base"}
		for k, v := range target {
			in.Environ[k] = v
		}
		if env != "" {
			in.Environ["LAKEBASE_REFRESH"] = env
		}
		for _, o := range options {
			name, value, _ := strings.Cut(o, "=")
			in.Options[name] = []string{value}
		}
		return Resolve(in)
	}
	c, err := resolve("")
	if err != nil || c.Refresh.Value != RefreshOff || c.OnRefresh.Value != onRefreshNone || c.Listen.Value != "" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = resolve(RefreshProxy, "on-refresh=signal:sighup", "listen=localhost:0", "status-file=s.json", "health-listen=[::1]:8080")
	if err != nil || c.Refresh.Value != RefreshProxy || c.OnRefresh.Value != "signal:HUP" || c.Listen.Value != "127.0.0.1:0" || c.StatusFile.Value != "/base/s.json" || c.HealthListen.Value != "[::1]:8080" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = resolve("", "refresh=proxy", "listen=/run/x/"); err != nil || c.Listen.Value != "/run/x" {
		t.Errorf("%q, %v", c.Listen.Value, err)
	}
	for options, want := range map[string][2]int{"": {1000, 1000}, "max-connections=20": {20, 20}, "max-waiting=7": {1000, 7}, "max-connections=100000 max-waiting=1": {100_000, 1}} {
		c, err := resolve(RefreshProxy, strings.Fields(options)...)
		if got := [2]int{c.MaxConnections.Value, c.MaxWaiting.Value}; err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", options, got, err, want)
		}
	}
	for _, c := range []struct{ env, options, want string }{
		{"proxy", "listen=/run/a,b", `--listen: "/run/a,b" contains a comma`},
		{"proxy", "listen=/run/a\x01b", `which no PGHOST can contain`},
		{"passfile", "max-connections=5", "--max-connections: requires --refresh proxy"},
		{"", "max-waiting=5", "--max-waiting: requires --refresh proxy"},
		{"proxy", "max-connections=0", `--max-connections: "0" is not a number from 1 to 100000`},
		{"proxy", "max-waiting=-1", `--max-waiting: "-1" is not a number from 1 to 100000`},
		{"proxy", "max-waiting=all", `"all" is not a number`},
		{"proxy", "max-connections=1e3", `"1e3" is not a number`},
		{"proxy", "max-connections=100001", "is not a number from 1 to 100000"},
		{"passfil", "", `LAKEBASE_REFRESH: "passfil" is not one of off, passfile, proxy`},
		{"", "on-refresh=restart", "--on-refresh: requires --refresh passfile or --refresh proxy"},
		{"", "status-file=x", "--status-file: requires --refresh"},
		{"", "health-listen=127.0.0.1:1", "--health-listen: requires --refresh"},
		{"", "health-listen=127.0.0.1:1 listen=127.0.0.1:1 max-waiting=5 status-file=x on-refresh=restart", "--on-refresh: requires --refresh"},
		{"passfile", "listen=127.0.0.1:1", "--listen: requires --refresh proxy"},
		{"proxy", "listen=5432", `--listen: "5432" is not HOST:PORT`},
		{"proxy", "listen=127.0.0.1:70000", `is not HOST:PORT`},
		{"proxy", "listen=db.example:5432", `"db.example" is not an IP address`},
		{"proxy", "on-refresh=signal:", `is not one of none, restart, signal:NAME`},
		{"proxy", "on-refresh=signal:a/b", `is not one of none, restart, signal:NAME`},
		{"proxy", "on-refresh=HUP", `is not one of none, restart, signal:NAME`},
	} {
		_, err := resolve(c.env, strings.Fields(c.options)...)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%q %q: %v, want %s", c.env, c.options, err, c.want)
		}
	}
}

// An address to listen on has a literal IP address: a name would be resolved, and
// could belong to another host.
func FuzzListenAddress(f *testing.F) {
	for _, s := range []string{"localhost:0", "127.0.0.1:5432", "[::1]:1", "0.0.0.0:65535", ":1", "h:1", "127.0.0.1:65536", "[fe80::1%eth0]:1", "127.0.0.1:+1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := listenAddress(s, Source{})
		if err != nil {
			return
		}
		host, _, err := net.SplitHostPort(got)
		if err != nil || net.ParseIP(host) == nil {
			t.Fatalf("%q gives %q", s, got)
		}
		if again, err := listenAddress(got, Source{}); err != nil || again != got {
			t.Fatalf("%q gives %q, and that %q, %v", s, got, again, err)
		}
	})
}

func TestAuthTypeNames(t *testing.T) {
	// Part of the public interface and of cache keys.
	want := []string{"oauth-m2m", "external-browser", "env-oidc", "file-oidc", "github-oidc", "pat", "databricks-cli"}
	for _, name := range want {
		if got := AuthTypeNames(); !slices.Contains(got, name) {
			t.Errorf("got %q, want %q among them", got, name)
		}
	}
	for _, a := range authTypes {
		if a.Credential == "" || a.Subject == "" || a.Workload && !a.ClientID {
			t.Errorf("%s: got %+v", a.Name, a)
		}
	}
}
