package auth

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvOIDC(t *testing.T) {
	f := newFake()
	if id, err := token(t, f.chain(job(t, "DATABRICKS_OIDC_TOKEN", "workload"))); err != nil || f.took() != "federation" || id.Given.Reveal() != "workload" || id.User != client {
		t.Errorf("got %+v, %v", id, err)
	}
	for claims, want := range map[string]string{
		`{"iss":"https://i","sub":"s","aud":["a","b"]}`: `(iss "https://i", sub "s", aud ["a","b"])`,
		`{"sub":5}`: `(iss "", sub "", aud "")`,
	} {
		jwt := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
		_, err := token(t, f.chain(job(t, "DATABRICKS_OIDC_TOKEN", jwt)))
		if !errors.As(err, new(*FederationError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestFileOIDC(t *testing.T) {
	f, path := newFake(), tokenFile(t, "workload\n")
	chain := f.chain(job(t, "DATABRICKS_OIDC_TOKEN_FILEPATH", path))
	if _, err := token(t, chain); err != nil || f.took() != "federation" {
		t.Errorf("got %v", err)
	}
	for text, want := range map[string]string{"": "is blank", " \n": "is blank", strings.Repeat("x", maxTokenFile+1): "larger than 65536 bytes"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var e *SourceError
		if err := refreshed(t.Context(), chain); !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "DATABRICKS_OIDC_TOKEN_FILEPATH") || e.Hint() == "" {
			t.Errorf("%d bytes: got %v, want %q", len(text), err, want)
		}
	}
	largest, link := tokenFile(t, strings.Repeat("a", maxTokenFile)), path+"-link" // as Kubernetes projects it
	if runtime.GOOS == "windows" {                                                 // where a link requires a privilege
		link = largest
	} else if err := os.Symlink(largest, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{link: "", path + "-missing": syscall.ENOENT.Error(), t.TempDir(): "not a regular file", os.DevNull: "not a regular file"} {
		_, err := readTokenFile(config.SecretSource{Path: path})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

// A workload's token is sent to no host outside of Databricks, unless by --host.
func TestWorkload_ForeignHost(t *testing.T) {
	for _, name := range []string{AuthEnvOIDC, AuthFileOIDC, AuthGitHubOIDC} {
		f := newFake()
		conf := job(t, "auth", name, "DATABRICKS_HOST", "x.example", "DATABRICKS_OIDC_TOKEN", "workload",
			"DATABRICKS_OIDC_TOKEN_FILEPATH", tokenFile(t, "workload"))
		_, err := token(t, f.chain(conf))
		var e *config.Error
		if !errors.As(err, &e) || e.Name != "DATABRICKS_HOST" || !strings.Contains(e.Fix, "--host") || f.took() != "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A host outside of Databricks gets no workload token unasked.
func TestGitHubOIDC_Host(t *testing.T) {
	f := newFake()
	if _, err := token(t, f.chain(job(t, "DATABRICKS_HOST", "x.example"))); !errors.As(err, new(*NoSecretError)) || f.took() != "get" {
		t.Errorf("got %v", err)
	}
	_, err := token(t, f.chain(job(t, "host", "x.example", "auth", AuthGitHubOIDC)))
	if got := f.took(); err != nil || got != "discover github:audience-of- federation" {
		t.Errorf("named with --host: got %v: %s", err, got)
	}
}
