package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// A scratch image has no root certificates, and often no directory that can be written.
func TestNoRootCertificates(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	p := newFixture(t, l)
	if p.do("unshare", "-Urm", "true").status.ExitStatus() != 0 {
		t.Fatal("unshare cannot create a user namespace, which this test needs")
	}
	ca := p.env["PGSSLROOTCERT"]
	delete(p.env, "PGSSLROOTCERT")
	p.set("LAKEBASE_CACHE=off")
	// run runs argv where the directories of root certificates are empty.
	run := func(home string, argv ...string) *result {
		t.Helper()
		p.set("HOME=" + home)
		hide := `for d in /etc/ssl /etc/pki /usr/local/etc/ssl; do [ ! -d $d ] || mount -t tmpfs none $d || exit 99; done; exec "$@" >/dev/null`
		return p.do(append([]string{"unshare", "-Urm", "sh", "-c", hide, "sh"}, argv...)...)
	}
	for _, home := range []string{"/", "/proc", p.home} {
		if home == "/" && os.Getuid() != 0 {
			p.set("XDG_CACHE_HOME=/proc") // the directory / is not writable, but may hold a .cache
		}
		run(home, "lakebase-exec", "--sslrootcert", ca, "--", "psql", "-Atc", "select 1").wantExit(0)
		run(home, "lakebase-credential-helper", "get", "--wait", "30s", "--sslrootcert", ca, "--format", "pgpass").wantExit(0)
	}
	delete(p.env, "XDG_CACHE_HOME")
	if _, err := os.Stat(filepath.Join(p.home, ".cache")); err == nil {
		t.Error("a file was written though --sslrootcert was given")
	}
	for _, refresh := range []string{"off", "passfile"} {
		run("/proc", "lakebase-exec", "--refresh", refresh, "--", "true").wantExit(125).
			wantStderr(`could not be written to "/proc/.cache/lakebase": no such file or directory`,
				"hint: pass a PEM file of root certificates with --sslrootcert")
	}
	// Without a file the programs still verify the server's certificate, which is
	// refused here.
	for _, argv := range [][]string{
		{"lakebase-exec", "--refresh", "proxy", "--", "true"},
		{"lakebase-credential-helper", "get", "--wait", "30s"},
	} {
		run("/proc", argv...).wantExit(123).wantStderr("certificate")
	}
	run("/proc", "lakebase-credential-helper", "get", "--format", "password").wantExit(0)
	run("/proc", "lakebase-credential-helper", "get", "--format", "url").wantExit(125)
}
