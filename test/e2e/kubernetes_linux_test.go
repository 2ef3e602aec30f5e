package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// podUID is the user of the containers in examples/kubernetes.
const podUID = 65532

// manifest is what the tests read of an object.
type manifest struct {
	Kind string
	Data map[string]string
	Spec struct {
		Template struct{ Spec pod }
	}
}

type pod struct {
	InitContainers, Containers []container
	SecurityContext            struct{ RunAsUser, FSGroup int }
	Volumes                    []struct {
		Name      string
		Secret    *struct{ DefaultMode int }
		Projected *struct {
			Sources []struct {
				ServiceAccountToken struct{ Path, Audience string }
			}
		}
	}
}

type container struct {
	Command         []string
	Env             []struct{ Name, Value string }
	RestartPolicy   string
	VolumeMounts    []struct{ Name, MountPath string }
	StartupProbe    probe
	ReadinessProbe  probe
	LivenessProbe   probe
	SecurityContext struct{ ReadOnlyRootFilesystem bool }
}

type probe struct {
	HTTPGet struct {
		Path string
		Port int
	}
}

// cluster runs containers of the examples as a kubelet would, without one.
type cluster struct {
	*fixture
	kube   string
	config map[string]string
}

// decode returns the objects of an example, which k8s.io/api must know in every field.
func (c *cluster) decode(name string) (objects []manifest) {
	c.t.Helper()
	text := c.do(c.kube, "decode", absolute(c.t, "..", "..", "examples", "kubernetes", name)).wantExit(0).stdout
	must(c.t, json.Unmarshal([]byte(text), &objects))
	return objects
}

// command returns a container's process: its user, environment, volumes as a kubelet
// writes them, and a root that is read-only. files are in the volumes by path, or
// other files below /run; replace are pairs of old and new texts in the command.
func (c *cluster) command(p pod, of container, files map[string]string, replace ...string) *exec.Cmd {
	c.t.Helper()
	if p.SecurityContext.RunAsUser != podUID || p.SecurityContext.FSGroup != podUID || !of.SecurityContext.ReadOnlyRootFilesystem {
		c.t.Errorf("got %+v, %+v, want uid %d and a read-only root", p.SecurityContext, of.SecurityContext, podUID)
	}
	if os.Geteuid() != 0 {
		c.t.Fatal("this test becomes another user: run it as root")
	}
	run := c.t.TempDir()
	for path, text := range files {
		dir := filepath.Join(run, strings.TrimPrefix(filepath.Dir(path), "/run/"))
		data := filepath.Join(dir, "..data")
		must(c.t, os.MkdirAll(data, 0o755))
		file := filepath.Join(data, filepath.Base(path))
		must(c.t, os.WriteFile(file, []byte(text), 0o440))
		must(c.t, os.Lchown(file, 0, podUID))
		if strings.HasSuffix(path, "/token") { // the user's own
			must(c.t, os.Lchown(file, podUID, podUID))
			must(c.t, os.Chmod(file, 0o640))
		}
		must(c.t, os.Symlink(filepath.Join("..data", filepath.Base(path)), filepath.Join(dir, filepath.Base(path))))
	}
	ca, err := os.ReadFile(c.lakebase.CAFile())
	must(c.t, errors.Join(err, os.WriteFile(filepath.Join(run, "ca.pem"), ca, 0o444)))
	const start = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
cp -a "$1/." /run/
chmod 755 /run
mkdir /run/shm
mount -o remount,ro /run
mount -t tmpfs -o mode=1777 tmpfs /run/shm # as /dev/shm, where the test's programs may be
mount -o remount,bind,ro /
cd /
shift
exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"`
	argv := []string{"unshare", "--mount", "sh", "-c", start, "sh", run}
	for _, arg := range of.Command {
		argv = append(argv, strings.NewReplacer(replace...).Replace(arg))
	}
	cmd := c.fixture.command(argv...)
	cmd.Env = []string{"PATH=" + c.env["PATH"], "HOME=/", "GORACE=" + c.env["GORACE"],
		"PGPORT=" + c.lakebase.PGPort(), "LAKEBASE_CACERT=/run/ca.pem", "PGSSLROOTCERT=/run/ca.pem"}
	for name, value := range c.config {
		if of := c.env[name]; of != "" && name != "LAKEBASE_CACHE" {
			value = of // of the local Lakebase
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	for _, e := range of.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	return cmd
}

// TestKubernetes runs the commands of examples/kubernetes.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	l := startLakebase(t, emulator.Options{})
	c := &cluster{fixture: newFixture(t, l), kube: kubeProgram(t)}
	if o := c.do(c.kube, "decode", write(t, filepath.Join(c.home, "bad.yaml"), "apiVersion: v1\nkind: ConfigMap\ndatas: {}\n")); o.status.ExitStatus() != 1 || !strings.Contains(o.stderr, `unknown field "datas"`) {
		t.Errorf("an unknown field: got exit code %d, %s", o.status.ExitStatus(), o.stderr)
	}
	c.config = c.decode("config.yaml")[0].Data
	for _, name := range []string{"DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "ENDPOINT_NAME", "PGHOST"} {
		if c.config[name] == "" {
			t.Errorf("config.yaml has no %s", name)
		}
	}
	secret := map[string]string{"/run/secrets/lakebase/client-secret": l.ClientSecret + "\n"}

	t.Run("job", func(t *testing.T) { c.with(t).job(secret) })
	t.Run("deployment", func(t *testing.T) { c.with(t).sidecar(c.decode("deployment.yaml")[0], secret) })
	t.Run("node-proxy", func(t *testing.T) {
		files := map[string]string{"/run/secrets/lakebase/client-secret": l.ClientSecret, "/run/secrets/lakebase/proxy-password": "of-the-node\n"}
		p := c.decode("node-proxy.yaml")[1].Spec.Template.Spec
		r := c.with(t).proxy(p, p.Containers[0], files, true, "PGHOST=127.0.0.1", "PGSSLMODE=require", "PGDATABASE="+l.Database, "PGPASSWORD=of-the-node")
		r.wantStderr("warning: --listen 0.0.0.0:")
	})
	t.Run("deployment-oidc", func(t *testing.T) {
		l.Set(func(s *emulator.Settings) { s.Subject = "system:serviceaccount:default:shop" })
		token := map[string]string{"/run/secrets/databricks/token": l.MintWorkload(emulator.WorkloadSpec{})}
		objects := c.decode("deployment-oidc.yaml")
		c.with(t).sidecar(objects[1], token)
		if p := objects[1].Spec.Template.Spec.Volumes[0].Projected; p == nil || p.Sources[0].ServiceAccountToken.Path != "token" ||
			p.Sources[0].ServiceAccountToken.Audience != c.config["DATABRICKS_HOST"]+"/oidc/v1/token" {
			t.Errorf("got volume %+v, want a token for the workspace", p)
		}
	})
}

func (c *cluster) with(t *testing.T) *cluster {
	f := *c.fixture
	f.t = t
	return &cluster{fixture: &f, kube: c.kube, config: c.config}
}

// job migrates a suspended database with two API calls.
func (c *cluster) job(files map[string]string) {
	t, l := c.t.(*testing.T), c.lakebase
	o := c.decode("job.yaml")[0]
	files = map[string]string{"/run/secrets/lakebase/client-secret": files["/run/secrets/lakebase/client-secret"]}
	found, err := filepath.Glob(filepath.Join("testdata", "migrations", "*.sql"))
	must(t, err)
	for _, name := range found {
		text, err := os.ReadFile(name)
		must(t, err)
		files["/run/migrations/"+filepath.Base(name)] = string(text)
	}
	suspend(t, l, emulator.Held, time.Second)
	p := o.Spec.Template.Spec
	if p.Volumes[0].Secret == nil || p.Volumes[0].Secret.DefaultMode != 0o400 {
		t.Errorf("got volume %+v, want a secret with mode 0400", p.Volumes[0])
	}
	cmd := c.command(p, p.Containers[0], files, "/migrations", "/run/migrations")
	buildMigrate(t)
	r := c.finish(cmd).wantExit(0)
	r.wantStderr("1/u orders", "2/u customers")
	if strings.Contains(r.stderr, "warning") || strings.Contains(r.stderr, "error") {
		t.Errorf("got stderr %s", r.stderr)
	}
	requests(t, l, "the Job", 2)

	// As docs/kubernetes.md has it for containers without a writable volume.
	refreshed := p.Containers[0]
	refreshed.Command = []string{"lakebase-exec", "--runtime-dir", "/run/shm/lakebase", "--refresh", "proxy", "--", "psql", "-XAtc", "select current_user"}
	if o := c.finish(c.command(p, refreshed, files)).wantExit(0); o.stdout != l.ClientID+"\n" {
		t.Errorf("--refresh proxy: got %q", o.stdout)
	}
}

// sidecar runs the proxy of a Deployment, with the server's environment for a client.
func (c *cluster) sidecar(o manifest, files map[string]string) {
	p := o.Spec.Template.Spec
	of := p.InitContainers[0]
	if of.RestartPolicy != "Always" {
		c.t.Errorf("got restartPolicy %q, want a native sidecar", of.RestartPolicy)
	}
	var env []string
	for _, e := range p.Containers[0].Env {
		if e.Value != "" && e.Name != "PGPORT" {
			env = append(env, e.Name+"="+e.Value)
		}
	}
	if r := c.proxy(p, of, files, false, env...); strings.Contains(r.stderr, "warning") {
		c.t.Errorf("got stderr %q", r.stderr)
	}
}

// proxy becomes ready, serves a client, and on TERM lets its connection end. If
// impatient, a second TERM ends it.
func (c *cluster) proxy(p pod, of container, files map[string]string, impatient bool, clientEnv ...string) *result {
	t := c.t.(*testing.T)
	_, port, _ := net.SplitHostPort(freeAddress(t))
	health := freeAddress(t)
	proxy := c.start(c.command(p, of, files, ":5432", ":"+port, "0.0.0.0:8080", health,
		"--drain-timeout=60s", "--drain-timeout=1h")) // only a second signal ends it
	for _, probe := range []probe{of.StartupProbe, of.ReadinessProbe, of.LivenessProbe} {
		if probe.HTTPGet.Port != 8080 {
			t.Errorf("got probe %+v, want port 8080", probe)
		}
		eventually(t, probe.HTTPGet.Path, func() bool {
			resp, err := http.Get("http://" + health + probe.HTTPGet.Path)
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
	client := c.fixture.command("psql", "-XAtq")
	client.Env = append(clientEnv, "PATH="+c.env["PATH"], "PGUSER="+c.lakebase.ClientID, "PGPORT="+port)
	stdin, err := client.StdinPipe()
	must(t, err)
	stdout, err := client.StdoutPipe()
	must(t, err)
	must(t, client.Start())
	lines := bufio.NewReader(stdout)
	ask := func(query, want string) {
		t.Helper()
		_, err := io.WriteString(stdin, query+";\n")
		must(t, err)
		if got, err := lines.ReadString('\n'); err != nil || got != want+"\n" {
			t.Fatalf("%s: got %q, %v, want %q", query, got, err, want)
		}
	}
	ask("select current_user", c.lakebase.ClientID)
	must(t, proxy.cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the proxy to accept no more clients", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	ask("select 42", "42")
	if impatient {
		must(t, proxy.cmd.Process.Signal(syscall.SIGTERM))
	} else {
		must(t, stdin.Close())
	}
	r := proxy.wait().wantExit(0)
	if impatient {
		_, err := io.WriteString(stdin, "select 1;\n")
		must(t, errors.Join(err, stdin.Close()))
	}
	if err := client.Wait(); (err != nil) != impatient {
		t.Errorf("the client: %v", err)
	}
	if !strings.HasSuffix(r.stdout, ":"+port+"\n") {
		t.Errorf("got stdout %q", r.stdout)
	}
	return r
}
