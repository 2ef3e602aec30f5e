package config

import (
	"slices"
	"testing"
)

func TestKey(t *testing.T) {
	all := map[string]string{"host": "h.example:8443/?o=1", "client-id": "c", "endpoint": "projects/p/branches/b/endpoints/e", "ttl": "30m"}
	k := given{options: all}.key(t)
	if k.Host != "h.example:8443" || k.WorkspaceID != "1" || k.Principal != "c" || k.Target != all["endpoint"] || k.TTL.String() != "30m0s" || k.Identity != "oauth-m2m" || k.Credential != "database" {
		t.Errorf("%+v", k)
	}
	for option, v := range map[string]string{"host": "i.example:8443/?o=1", "client-id": "d", "endpoint": "projects/q/branches/b/endpoints/e", "ttl": "31m"} {
		other := map[string]string{option: v}
		for o, v := range all {
			if o != option {
				other[o] = v
			}
		}
		if (given{options: other}).key(t).ID() == k.ID() {
			t.Errorf("--%s does not change the token's key", option)
		}
	}
}

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
