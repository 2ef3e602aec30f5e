package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// Shell commands that make $DISK a file system that cannot be written.
const (
	readOnlyDisk = `mount -t tmpfs -o mode=700 none "$DISK" && mount -o remount,ro "$DISK"`
	fullDisk     = `mount -t tmpfs -o mode=700,size=16k none "$DISK" && { cat /dev/zero >"$DISK/fill" 2>/dev/null; true; }`
)

// Faults of the machine end with 125, and the error names the path and what to do. A
// login that could not write the profile stores nothing.
func TestFaults_Disk(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	for _, c := range []struct {
		name, disk, env string
		argv            []string
		code            int
		want            []string // parts of stderr
	}{
		{"profiles read-only", readOnlyDisk, "LAKEBASE_CONFIG_FILE=$DISK/profiles.ini",
			[]string{"lakebase-credential-helper", "login", "-p", "x", "--secret-stdin", "--store", "file"}, 125,
			[]string{"the profile cannot be written, and nothing was stored:", `$DISK/profiles.ini": read-only file system`,
				"hint: make the file system of $DISK/profiles.ini writable; or name another file in LAKEBASE_CONFIG_FILE"}},
		{"profiles full", fullDisk, "LAKEBASE_CONFIG_FILE=$DISK/profiles.ini",
			[]string{"lakebase-credential-helper", "login", "-p", "x", "--secret-stdin", "--store", "file"}, 125,
			[]string{"the profile cannot be written, and nothing was stored:", `$DISK/profiles.ini": no space left on device`,
				"hint: free space on the file system of $DISK/profiles.ini"}},
		{"secrets read-only", readOnlyDisk, "XDG_CONFIG_HOME=$DISK",
			[]string{"lakebase-credential-helper", "login", "--secret-stdin", "--store", "file"}, 125,
			[]string{`$DISK/lakebase/secrets": read-only file system`, "hint: make the file system of $DISK/lakebase/secrets writable"}},
		{"passfile, full", fullDisk, "RUNTIME_DIRECTORY=$DISK", []string{"lakebase-exec", "--refresh", "passfile", "--", "true"}, 125,
			[]string{`$DISK/run-`, "no space left on device", "hint: free space on the file system of $DISK/run-"}},
		{"passfile, read-only", readOnlyDisk, "RUNTIME_DIRECTORY=$DISK", []string{"lakebase-exec", "--refresh", "passfile", "--", "true"}, 125,
			[]string{`no runtime directory: "$DISK": read-only file system`,
				"hint: make the file system of $DISK writable; or name a private directory with --runtime-dir"}},
		{"--listen in a read-only directory", readOnlyDisk, "X=",
			[]string{"lakebase-exec", "--refresh", "proxy", "--listen", "$DISK", "--", "true"}, 125,
			[]string{"--listen", "read-only file system", "hint: "}},
		// A fault of a file that the token does not need is not an error.
		{"all read-only", readOnlyDisk, "XDG_RUNTIME_DIR=$DISK", []string{"lakebase-exec", "--", "true"}, 0, nil},
		{"--cache file, full", fullDisk, "RUNTIME_DIRECTORY=$DISK", []string{"lakebase-exec", "--cache", "file", "--", "true"}, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newFixture(t, l)
			disk := t.TempDir()
			at := strings.NewReplacer("$DISK", disk)
			p.set("DISK="+disk, at.Replace(c.env), "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(p.run, "none"))
			argv := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", c.disk + ` || exit 99; exec "$@"`, "sh"}
			for _, a := range c.argv {
				argv = append(argv, at.Replace(a))
			}
			cmd := p.command(argv...)
			cmd.Stdin = strings.NewReader(l.ClientSecret)
			o := p.finish(cmd).wantExit(c.code)
			for _, part := range c.want {
				o.wantStderr(at.Replace(part))
			}
			if left, _ := os.ReadDir(filepath.Join(p.home, ".config/lakebase/secrets")); len(left) > 0 {
				t.Errorf("secrets were stored: %v", left)
			}
		})
	}
}
