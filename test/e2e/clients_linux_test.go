package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// packages names the Debian package of each program that a test needs.
var packages = map[string]string{
	"psql": "postgresql-client", "pg_dump": "postgresql-client", "pgbench": "postgresql", "/usr/bin/python3": "python3 and python3-psycopg2",
	"node": "nodejs and npm", "/usr/bin/aws": "awscli", "kubectl": "kubernetes-client", "java": "default-jdk-headless and libpostgresql-jdbc-java",
	"bash": "bash and bash-completion", "dash": "dash", "zsh": "zsh", "fish": "fish", "man": "man-db", "groff": "groff-base",
}

// client looks for a program that a test needs; without it the test fails.
func client(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install Debian's %s", name, packages[name])
	}
	return path
}

// nodeModule fails the test unless a package of test/e2e/node is installed.
func nodeModule(t testing.TB, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node", "node_modules", name)); err != nil {
		t.Fatalf("node's %s is missing: run npm ci in test/e2e/node (%v)", name, err)
	}
}

func absolute(t testing.TB, elem ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(elem...))
	must(t, err)
	return path
}

// script returns a shell script of testdata/attack: another user may not be able to read
// the file.
func script(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "attack", name))
	must(t, err)
	return string(data)
}

var builds sync.Map // by the program's name

// goBuild builds a program of a module, once, into the directory of the programs under test,
// and returns its path.
func goBuild(t testing.TB, name, module string, args ...string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		path := filepath.Join(bin, name)
		argv := append([]string{"build", "-C", module, "-o", path}, args...)
		if out, err := exec.CommandContext(ctx, "go", argv...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		return path, os.Chmod(path, 0o755)
	}))
	path, err := build.(func() (string, error))()
	must(t, err)
	return path
}

func drivers(t testing.TB) string { t.Helper(); return goBuild(t, "drivers", "../drivers", ".") }

// kubeProgram is test/kube, a client of Kubernetes.
func kubeProgram(t testing.TB) string { t.Helper(); return goBuild(t, "kube", "../kube", ".") }

// buildMigrate builds golang-migrate, whose version test/tools holds.
func buildMigrate(t testing.TB) {
	t.Helper()
	goBuild(t, "migrate", "../tools", "-tags", "postgres pgx5", "github.com/golang-migrate/migrate/v4/cmd/migrate")
}

// released returns the helper as it is released, without the race detector and cgo.
func released(t testing.TB) string {
	t.Helper()
	return goBuild(t, "released/lakebase-credential-helper", "../..", "-tags", "netgo,osusergo", "./cmd/lakebase-credential-helper")
}
