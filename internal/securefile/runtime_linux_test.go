package securefile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRuntimeCandidates(t *testing.T) {
	for _, c := range []struct {
		name, opt, home string
		env             map[string]string
		want            []string
	}{
		{name: "all", home: "/home/me", env: map[string]string{"RUNTIME_DIRECTORY": "/run/svc", "XDG_RUNTIME_DIR": "/run/user/7"},
			want: []string{"/run/svc", "/run/user/7/lakebase", "/run/user/1000/lakebase", "/home/me/.local/state/lakebase/run"}},
		{name: "the option alone", opt: "x", home: "/home/me", env: map[string]string{"RUNTIME_DIRECTORY": "/run/svc"}, want: []string{"x"}},
		{name: "several of systemd's", env: map[string]string{"RUNTIME_DIRECTORY": "/run/a:/run/b"}, want: []string{"/run/a", "/run/b", "/run/user/1000/lakebase"}},
		{name: "relative is unset", home: "me", env: map[string]string{"XDG_RUNTIME_DIR": "run"}, want: []string{"/run/user/1000/lakebase"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := RuntimeCandidates(c.opt, func(n string) string { return c.env[n] }, 1000, c.home)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
