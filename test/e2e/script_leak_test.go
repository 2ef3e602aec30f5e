package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// findLeak finds a secret, or unless they are allowed a token, in text.
func (s *scriptEnv) findLeak(text string, tokens bool) string {
	for _, l := range s.lakebases {
		if what := secretIn(l, text); what != "" {
			return what
		}
	}
	if !tokens && token.MatchString(text) {
		return "a token"
	}
	return ""
}

// searchFiles looks through every file that a run may have left, the keyring's own
// aside (gnome-keyring encrypts it, so a secret in clear is found there too).
func (s *scriptEnv) searchFiles(ts *testscript.TestScript) string {
	found := ""
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || mayHoldSecret(path) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && found == "" {
			// A token is allowed in a file under --cache file alone.
			if what := s.findLeak(string(data), strings.HasPrefix(filepath.Base(path), "token-")); what != "" {
				found = fmt.Sprintf("file %s has %s in it", path, what)
			}
		}
		return nil
	})
	return found
}

// mayHoldSecret names the files in which a secret stands by the story's own
// doing: its own, .databrickscfg, and those of login --store file.
func mayHoldSecret(path string) bool {
	switch filepath.Base(path) {
	case "secret", "secret2", ".databrickscfg":
		return true
	}
	return strings.Contains(filepath.Dir(path), "/lakebase/secrets")
}
