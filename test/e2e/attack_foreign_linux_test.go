package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// TestAttack_ForeignFiles: what another user has put where we look is refused by its
// owner, or costs a new token, and stays as it was.
func TestAttack_ForeignFiles(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := otherUserFixture(t, l)
	p.set("LAKEBASE_WAIT=never")
	run := func(argv ...string) *result { t.Helper(); return p.finish(as(t, otherUID, p.command(argv...))) }
	theirs := func(path, text string) string {
		t.Helper()
		must(t, errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, attacker, attacker), os.Chmod(path, 0o644)))
		return path
	}
	below := func(name string) string { return filepath.Join(p.home, name) }
	const foreign = "belongs to uid 65533, not to uid 65534"

	// Files that say where a secret goes, or that hold one, by name and by link.
	target := fmt.Sprintf("[prod]\nhost = %s\nclient_id = %s\nclient_secret = x\n", p.env["DATABRICKS_HOST"], l.ClientID)
	file := theirs(below("theirs"), target)
	must(t, os.Symlink(file, below("link")))
	for _, path := range []string{file, below("link")} {
		for _, argv := range [][]string{
			{"LAKEBASE_CONFIG_FILE=" + path, "lakebase-exec", "-p", "prod", "--", "true"},
			{"DATABRICKS_CONFIG_FILE=" + path, "lakebase-exec", "--databricks-profile", "prod", "--", "true"},
			{"DATABRICKS_CONFIG_FILE=" + path, "lakebase-credential-helper", "login", "--import", "--databricks-profile", "prod", "--remove-plaintext"},
			{"lakebase-exec", "--client-secret-file", path, "--", "true"},
			{"lakebase-credential-helper", "login", "--store", "file", "--secret-file", path},
			{"lakebase-credential-helper", "proxy", "--listen", "127.0.0.1:0", "--password-file", path},
		} {
			run(append([]string{"env"}, argv...)...).wantExit(120).wantStderr(foreign)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != target {
		t.Errorf("their file was changed: %q, %v", data, err)
	}

	// Tokens and locks in our directory that belong to another user.
	cached := []string{"lakebase-exec", "--cache", "file", "--", "true"}
	run(cached...).wantExit(0)
	files, err := filepath.Glob(filepath.Join(p.run, "lakebase", "*"))
	must(t, err)
	if len(files) < 2 { // the lock and the token
		t.Fatalf("there is too little: %v", files)
	}
	l.ResetCounters()
	run(cached...).wantExit(0)
	if n := l.Counters().Requests; n != 0 {
		t.Errorf("the twin: %d requests with a token in the cache", n)
	}
	for _, f := range files {
		must(t, os.Chown(f, attacker, attacker))
	}
	run(cached...).wantExit(0)
	if n := l.Counters().Requests; n != 2 {
		t.Errorf("%d requests with another's token in the cache", n)
	}
}

// TestAttack_RuntimeDirectoryExists uses a world-writable directory, such as a shared
// TMPDIR, in which another user created the directory first.
func TestAttack_RuntimeDirectoryExists(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{NoPostgres: true})
	p := otherUserFixture(t, l)
	p.set("LAKEBASE_WAIT=never")
	shared := filepath.Join(filepath.Dir(p.home), "shared")
	must(t, errors.Join(os.Mkdir(shared, 0o777), os.Chmod(shared, 0o777|fs.ModeSticky)))
	p.set("XDG_RUNTIME_DIR="+shared, "TMPDIR="+shared)
	made := filepath.Join(shared, "lakebase")
	run := func(argv ...string) *result { t.Helper(); return p.finish(as(t, otherUID, p.command(argv...))) }
	theirs := func(script string) {
		t.Helper()
		p.finish(as(t, attacker, p.command("sh", "-c", "cd "+shared+" && "+script))).wantExit(0)
	}
	for script, reason := range map[string]string{
		"mkdir -m 777 lakebase && chmod 777 lakebase": "belongs to uid 65533, not to uid 65534",
		"mkdir -m 700 lakebase":                       "permission denied",
		"ln -s " + p.run + " lakebase":                "is a symbolic link, not a directory",
		"ln -s lakebase lakebase":                     "is a symbolic link, not a directory",
		"mkfifo lakebase && chmod 666 lakebase":       "not a directory",
		"mkdir -m 777 lakebase && chmod 777 lakebase && mkdir -m 777 lakebase/run-aaaaaaaa": "belongs to uid 65533, not to uid 65534",
	} {
		theirs(script)
		run("lakebase-exec", "--runtime-dir", made, "--", "true").wantExit(120).wantStderr(reason)
		for _, argv := range [][]string{
			{"lakebase-exec", "--cache", "file", "--", "true"},
			{"lakebase-exec", "--refresh", "passfile", "--", "sh", "-c", `case $PGPASSFILE in "$HOME"/*) ;; *) exit 9 ;; esac`},
		} {
			run(argv...).wantExit(0)
		}
		out, err := exec.Command("find", made, p.run, "-mindepth", "1", "-type", "f").CombinedOutput()
		if err != nil || len(out) != 0 {
			t.Errorf("%s: something is in there: %s %v", script, out, err)
		}
		must(t, os.RemoveAll(made))
	}

	// A status file in such a directory: a file or link of another user is not
	// replaced.
	theirs("echo theirs >status && chmod 666 status && ln -s status link")
	for _, name := range []string{"status", "link"} {
		run("lakebase-exec", "--refresh", "passfile", "--status-file", filepath.Join(shared, name), "--", "true").wantExit(0).wantStderr("warning: ")
	}
	if data, err := os.ReadFile(filepath.Join(shared, "status")); err != nil || string(data) != "theirs\n" {
		t.Errorf("their file was changed: %q, %v", data, err)
	}

	// A missing directory is created and owned by the user.
	run("lakebase-exec", "--cache", "file", "--", "true").wantExit(0)
	if fi, err := os.Stat(made); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi, err)
	}
}
