package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
	"github.com/lakebase-exec/lakebase-exec/test/testkeyring"
)

// readers names the Debian package of each format's reader.
var readers = map[string]string{
	"psql":             "postgresql-client",
	"/usr/bin/python3": "python3 and python3-psycopg2",
	"/usr/bin/aws":     "awscli",
	"kubectl":          "kubernetes-client",
	"bash":             "bash",
	"dash":             "dash",
	"fish":             "fish",
	"node":             "nodejs and npm",
	"java":             "default-jdk-headless and libpostgresql-jdbc-java",
	"secret-tool":      "libsecret-tools",
}

// reader looks for a program that a test needs; without it the test fails.
func reader(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install Debian's %s", name, readers[name])
	}
	return path
}

// TestFormats_Readers passes each format to the program that it is for. The target is
// in the profile only: the callers have the helper's path and the profile's name.
func TestFormats_Readers(t *testing.T) {
	t.Parallel()
	f := newFormats(t)
	t.Run("credential-process by the AWS CLI", f.aws)
	t.Run("exec-credential by kubectl", f.kubectl)
	t.Run("exec-credential by client-go", f.clientGo)
	t.Run("pgpass by psql", f.pgpass)
	t.Run("url by psql and urllib", f.url)
	t.Run("jdbc by pgjdbc", f.jdbc)
	t.Run("libpq by psycopg2", f.libpq)
	t.Run("env by bash and dash", f.posix)
	t.Run("fish by fish", f.fish)
	t.Run("dotenv by node", f.dotenv)
	t.Run("password by the rules of pgAdmin and DBeaver", f.password)
	t.Run("powershell by its documented rule", f.powershell)
	t.Run("github-env by the runner's rules", f.gitHub)
	t.Run("terraform and json by their documented rules", f.objects)
	t.Run("workspace-token by the workspace", f.workspace)
	if n := f.lakebase.Counters(); n.ByCall[emulator.CallCredentials] != 1 {
		t.Errorf("all callers together made the requests %v, not one credential", n.ByCall)
	}
}

type formats struct {
	lakebase *emulator.Lakebase
	fixture  *fixture
	helper   string // its absolute path
	token    string // the cached one
}

func newFormats(t *testing.T) *formats {
	t.Helper()
	l := startLakebase(t, emulator.Options{})
	p := newKeyringFixture(t, l, testkeyring.Unlocked)
	login := p.command("lakebase-credential-helper", "login", "--profile", "prod", "--secret-stdin", "--no-verify")
	login.Stdin = strings.NewReader(l.ClientSecret + "\n")
	p.finish(login).wantExit(0)
	// The profile, as the environment is not handed on: other tests delete all tokens
	// from the kernel keyring of the user.
	profiles := filepath.Join(p.home, ".config", "lakebase", "profiles.ini")
	text, err := os.ReadFile(profiles)
	if err == nil {
		err = os.WriteFile(profiles, append(text, "cache = keychain\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name := range p.env {
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "DATABRICKS_") || strings.HasPrefix(name, "LAKEBASE_") || name == "ENDPOINT_NAME" {
			delete(p.env, name)
		}
	}
	f := &formats{lakebase: l, fixture: p, helper: filepath.Join(bin, "lakebase-credential-helper")}
	f.token = strings.TrimSuffix(f.get(t, "password"), "\n")
	if !token.MatchString(f.token) {
		t.Fatal("get gives no token")
	}
	return f
}

// get returns what the helper prints; stderr must be empty.
func (f *formats) get(t *testing.T, format string, more ...string) string {
	t.Helper()
	out, stderr, code := f.run(t, nil, append([]string{f.helper, "get", "-p", "prod", "--format", format}, more...)...)
	if code != 0 || stderr != "" {
		t.Fatalf("get --format %s %q: exit code %d: %s", format, more, code, stderr)
	}
	return out
}

// run runs a reader, whose output may hold the token but not the secret.
func (f *formats) run(t *testing.T, env []string, argv ...string) (stdout, stderr string, code int) {
	t.Helper()
	f.fixture.t = t
	cmd := f.fixture.command(argv...)
	cmd.Env = append(cmd.Env, env...)
	return f.runCmd(t, cmd)
}

func (f *formats) runCmd(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("%s: %v", cmd.Args[0], err)
	}
	if containsSecret(f.lakebase, out.String()+said.String()) {
		t.Errorf("%s: the secret is in its output", cmd.Args[0])
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// good runs a reader that has to end well.
func (f *formats) good(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	out, stderr, code := f.run(t, env, argv...)
	if code != 0 {
		t.Fatalf("%s: exit code %d: %s", argv[0], code, stderr)
	}
	return out
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const whoAmI = "select current_user || ' in ' || current_database()"

func (f *formats) me() string { return f.lakebase.ClientID + " in " + emulator.Database + "\n" }

// plainly is a connection string without a password.
func (f *formats) plainly() string {
	return fmt.Sprintf("host=localhost port=%s user=%s dbname=%s sslmode=verify-full sslrootcert=%s", f.lakebase.PGPort(), f.lakebase.ClientID, emulator.Database, f.lakebase.CAFile())
}

func (f *formats) pgpass(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "pgpass"), f.get(t, "pgpass"))
	psql := []string{reader(t, "psql"), "-XwAtc", whoAmI, f.plainly()}
	if out := f.good(t, []string{"PGPASSFILE=" + file}, psql...); out != f.me() {
		t.Errorf("psql says %q", out)
	}
	if _, stderr, code := f.run(t, []string{"PGPASSFILE=/dev/null"}, psql...); code == 0 || !strings.Contains(stderr, "no password supplied") {
		t.Errorf("without the file, psql ends with %d: %s", code, stderr)
	}
}

func (f *formats) url(t *testing.T) {
	text := strings.TrimSuffix(f.get(t, "url"), "\n")
	if out := f.good(t, nil, reader(t, "psql"), "-XwAtc", whoAmI, text); out != f.me() {
		t.Errorf("psql says %q", out)
	}
	const script = `
import os, sys, json
from urllib.parse import urlsplit, unquote
u = urlsplit(os.environ["THE_URL"])
json.dump([u.scheme, unquote(u.username), unquote(u.password), u.hostname, u.port, unquote(u.path)], sys.stdout)`
	out := f.good(t, []string{"THE_URL=" + text}, reader(t, "/usr/bin/python3"), "-c", script)
	port, _ := strconv.Atoi(f.lakebase.PGPort())
	want, _ := json.Marshal([]any{"postgresql", f.lakebase.ClientID, f.token, "localhost", port, "/" + emulator.Database})
	if diff := cmp.Diff(string(want), strings.ReplaceAll(out, ", ", ",")); diff != "" {
		t.Error(diff)
	}
}

// javaJar is where Debian's libpostgresql-jdbc-java puts the driver.
const javaJar = "/usr/share/java/postgresql.jar"

func (f *formats) jdbc(t *testing.T) {
	if _, err := os.Stat(javaJar); err != nil {
		t.Fatalf("pgjdbc is missing: install Debian's %s", readers["java"])
	}
	source := write(t, filepath.Join(t.TempDir(), "Ask.java"), `
import java.sql.*;
public class Ask {
    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(System.getenv("THE_URL"));
             ResultSet r = c.createStatement().executeQuery(args[0])) {
            r.next();
            System.out.println(r.getString(1));
        }
    }
}
`)
	text := strings.TrimSuffix(f.get(t, "jdbc"), "\n")
	if out := f.good(t, []string{"THE_URL=" + text}, reader(t, "java"), "-cp", javaJar, source, whoAmI); out != f.me() {
		t.Errorf("pgjdbc says %q", out)
	}
}

// libpq: Postico's keys are libpq's keywords, so that libpq itself takes them all.
func (f *formats) libpq(t *testing.T) {
	const script = `
import json, os, psycopg2
c = psycopg2.connect(**json.loads(os.environ["DOCUMENT"])).cursor()
c.execute(os.environ["STATEMENT"])
print(c.fetchone()[0])`
	env := []string{"DOCUMENT=" + f.get(t, "libpq"), "STATEMENT=" + whoAmI, "PGSSLROOTCERT=" + f.lakebase.CAFile()}
	if out := f.good(t, env, reader(t, "/usr/bin/python3"), "-c", script); out != f.me() {
		t.Errorf("libpq says %q", out)
	}
}

// password is taken as pgAdmin does it (utils/passexec.py) and DBeaver
// (AuthModelDatabaseShellCommand): stripped, and the first line.
func (f *formats) password(t *testing.T) {
	const script = `
import os, subprocess, sys
p = subprocess.run(os.environ["COMMAND"], shell=True, text=True, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
assert p.returncode == 0 and p.stderr == "", p
pgadmin, dbeaver = p.stdout.strip(), p.stdout.split("\n")[0].strip()
assert pgadmin == dbeaver
print(pgadmin)`
	out := f.good(t, []string{"COMMAND='" + f.helper + "' get -p prod --format password"}, reader(t, "/usr/bin/python3"), "-c", script)
	if out != f.token+"\n" {
		t.Error("the password is another one")
	}
}

// objects: the data source external takes a flat object of strings and nothing
// else; ours is for scripts.
func (f *formats) objects(t *testing.T) {
	var flat map[string]string
	if err := json.Unmarshal([]byte(f.get(t, "terraform")), &flat); err != nil {
		t.Errorf("Terraform takes strings only: %v", err)
	}
	if flat["password"] != f.token || flat["user"] != f.lakebase.ClientID || flat["host"] != "localhost" || flat["port"] != f.lakebase.PGPort() || flat["dbname"] != emulator.Database {
		t.Error("Terraform reads other values")
	}
	var ours struct {
		Version   int    `json:"version"`
		Password  string `json:"password"`
		ExpiresAt string `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(f.get(t, "json")), &ours); err != nil || ours.Version != 1 || ours.Password != f.token || ours.ExpiresAt != flat["expires_at"] {
		t.Errorf("json holds other values (%v)", err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", ours.ExpiresAt); err != nil {
		t.Error(err)
	}
}

func (f *formats) workspace(t *testing.T) {
	const script = `
import json, os, ssl, urllib.request
from datetime import datetime
d = json.loads(os.environ["DOCUMENT"])
assert d["token_type"] == "Bearer" and datetime.strptime(d["expiry"], "%Y-%m-%dT%H:%M:%SZ")
r = urllib.request.Request(os.environ["HOST"] + "/api/2.0/preview/scim/v2/Me", headers={"Authorization": "Bearer " + os.environ.get("BEARER", d["access_token"])})
print(json.load(urllib.request.urlopen(r, timeout=300, context=ssl.create_default_context(cafile=os.environ["CA"])))["userName"])`
	env := []string{"DOCUMENT=" + f.get(t, "workspace-token"), "HOST=" + f.lakebase.WorkspaceURL(), "CA=" + f.lakebase.CAFile()}
	python := reader(t, "/usr/bin/python3")
	if out := f.good(t, env, python, "-c", script); out != f.lakebase.ClientID+"\n" {
		t.Errorf("the workspace says %q", out)
	}
	// The token for the database is another one.
	if _, stderr, code := f.run(t, append(env, "BEARER="+f.token), python, "-c", script); code == 0 || !strings.Contains(stderr, "HTTP Error 40") {
		t.Errorf("the workspace takes a database token: %d: %s", code, stderr)
	}
}
