package credential

import (
	"slices"
	"testing"
)

func TestAuthTypes(t *testing.T) {
	// Part of the public interface and of cache keys.
	want := []string{"oauth-m2m", "external-browser", "env-oidc", "file-oidc", "github-oidc", "pat", "databricks-cli"}
	if got := AuthTypes(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	kinds := map[string]string{"oauth-m2m": "", "external-browser": "user", "env-oidc": "workload", "file-oidc": "workload", "github-oidc": "workload",
		"pat": "user", "databricks-cli": "user", "": "", "azure-cli": "", "PAT": ""}
	for word, kind := range kinds {
		if IsUser(word) != (kind == "user") || IsWorkload(word) != (kind == "workload") {
			t.Errorf("%q: want kind %q", word, kind)
		}
	}
}
