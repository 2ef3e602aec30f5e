package credential

import (
	"slices"
	"testing"
)

func TestAuthWords(t *testing.T) {
	// What a program prints, stores in keys and takes from files written by others
	// must not change.
	want := []string{"oauth-m2m", "external-browser", "env-oidc", "file-oidc", "github-oidc", "pat", "databricks-cli"}
	if got := AuthWords(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	kinds := map[string]string{"oauth-m2m": "", "external-browser": "person", "env-oidc": "workload", "file-oidc": "workload", "github-oidc": "workload",
		"pat": "person", "databricks-cli": "person", "": "", "azure-cli": "", "PAT": ""}
	for word, kind := range kinds {
		if IsPerson(word) != (kind == "person") || IsWorkload(word) != (kind == "workload") {
			t.Errorf("%q is no %q", word, kind)
		}
	}
}

func TestKeysOfWaysNeverMix(t *testing.T) {
	seen := map[string]string{}
	for _, word := range AuthWords() {
		id := Key{Identity: word, Host: "h.example", Principal: "p"}.ID()
		if seen[id] != "" {
			t.Errorf("%s and %s have one key", word, seen[id])
		}
		seen[id] = word
	}
}
