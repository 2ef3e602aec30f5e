package pgenv

import (
	"slices"
	"strings"
	"testing"
)

// FuzzBuild checks what is true of every environment: no name twice, nothing of
// libpq and no secret but what is allowed or kept, and exact values.
func FuzzBuild(f *testing.F) {
	f.Add("A=1\nPGHOST=x\nPGHOST=y\nPGSERVICE=s", "h", "DATABRICKS_TOKEN", false)
	f.Add("pgHost=x\n=C:=C:\\\nPath=a\nPATH=b", "h", "PGSSLCERT", true)
	f.Add("DATABRICKS_OIDC_TOKEN_ENV=J\nJ=1\nDATABRICKS_TOKEN=t", "h h", "J", false)
	f.Add("ſ=1\nS=2\nPGUſER=3\n==\n=\n\n=A", "", "", true)
	f.Fuzz(func(t *testing.T, environ, host, keep string, windows bool) {
		caller := strings.Split(environ, "\n")
		v := full
		v.Host = host
		keeps := strings.Fields(keep)
		r, err := build(caller, v, keeps, windows)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, s := range r.Environ {
			name, value, ok := split(s, windows)
			k := key(name, windows)
			if !ok || strings.ContainsRune(s, 0) || seen[k] {
				t.Fatalf("%q in %q", s, r.Environ)
			}
			seen[k] = true
			if slices.Contains(r.Set, name) {
				continue
			}
			if !slices.Contains(caller, s) {
				t.Fatalf("%q is not in the caller's environment", s)
			}
			if isLibpq(k) && value == "" {
				t.Fatalf("%q is empty", s)
			}
			kept := slices.ContainsFunc(keeps, func(n string) bool { return key(n, windows) == k })
			if managed[k] || (unsafe[k] || secrets[k] || unsafeOther[k]) && !kept {
				t.Fatalf("%q was not removed", s)
			}
		}
		if !slices.Contains(r.Environ, "PGHOST="+host) || !slices.Contains(r.Environ, "PGPASSWORD=tok=en\n") {
			t.Fatalf("the values are not in %q", r.Environ)
		}
		for _, n := range r.Removed {
			if seen[key(n, windows)] {
				t.Fatalf("%q is both removed and set", n)
			}
		}
	})
}
