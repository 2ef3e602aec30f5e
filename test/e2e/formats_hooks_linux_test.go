package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func (f *formats) aws(t *testing.T) {
	config := write(t, filepath.Join(t.TempDir(), "config"), "[profile lakebase]\nregion = us-east-1\ncredential_process = \""+f.helper+"\" get -p prod --format credential-process\n"+
		"[profile wrong]\nregion = us-east-1\ncredential_process = \""+f.helper+"\" get -p none --format credential-process\n")
	env := []string{"AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
	out := f.good(t, env, reader(t, "/usr/bin/aws"), "configure", "export-credentials", "--profile", "lakebase")
	var got struct{ AccessKeyId, SecretAccessKey, Expiration string }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.AccessKeyId != f.lakebase.ClientID || got.SecretAccessKey != f.token {
		t.Errorf("the AWS CLI reads other values")
	}
	if end, err := time.Parse(time.RFC3339, got.Expiration); err != nil || time.Until(end) < 50*time.Minute || time.Until(end) > time.Hour-50*time.Second {
		t.Errorf("the AWS CLI reads the end as %q (%v)", got.Expiration, err)
	}
	_, stderr, code := f.run(t, env, "/usr/bin/aws", "configure", "export-credentials", "--profile", "wrong")
	if code == 0 || !strings.Contains(stderr, `profile "none" not found`) {
		t.Errorf("a failure is not passed on: exit code %d: %s", code, stderr)
	}
}

// apiServer is a TLS server that tells hello to whoever brings the token, and a
// kubeconfig for it with the helper as the exec plugin of this version.
func (f *formats) apiServer(t *testing.T, version string) (kubeconfig string, bearers func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization"))
		mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+f.token {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": s.URL, "certificate-authority-data": ca}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
		"users": []any{map[string]any{"name": "u", "user": map[string]any{"exec": map[string]any{
			"apiVersion": version, "command": f.helper, "args": []string{"get", "-p", "prod", "--format", "exec-credential"}, "interactiveMode": "Never"}}}},
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "kubeconfig"), string(text)), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func (f *formats) allBrought(t *testing.T, bearers []string) {
	t.Helper()
	if len(bearers) == 0 {
		t.Error("no request came to the server")
	}
	for _, b := range bearers {
		if b != "Bearer "+f.token {
			t.Errorf("a request brought another token (%d bytes)", len(b))
		}
	}
}

// kubectl: Debian's version supports v1beta1 only.
func (f *formats) kubectl(t *testing.T) {
	config, bearers := f.apiServer(t, "client.authentication.k8s.io/v1beta1")
	if out := f.good(t, []string{"KUBECONFIG=" + config}, reader(t, "kubectl"), "get", "--raw", "/"); out != "hello" {
		t.Errorf("kubectl says %q", out)
	}
	f.allBrought(t, bearers())
}

func (f *formats) clientGo(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "kube")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join("..", "kube"), "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building client-go's program: %v\n%s", err, out)
	}
	config, bearers := f.apiServer(t, "client.authentication.k8s.io/v1")
	if out := f.good(t, []string{"KUBECONFIG=" + config}, program, "/"); out != "hello" {
		t.Errorf("client-go says %q", out)
	}
	f.allBrought(t, bearers())
	config, _ = f.apiServer(t, "client.authentication.k8s.io/v1alpha1")
	if _, stderr, code := f.run(t, []string{"KUBECONFIG=" + config}, program, "/"); code == 0 {
		t.Errorf("a version that has gone is taken: %s", stderr)
	}
}
