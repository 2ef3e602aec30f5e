package tokencache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Only the file store writes the token to a file.
func TestFiles_HoldNoToken(t *testing.T) {
	dir := t.TempDir()
	c := newCache(&memory{}, dir, newEvents())
	if _, err := c.Get(t.Context(), key, criteria, minting(tokenText)); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 { // the lock
		t.Errorf("got %v, want the lock", files)
	}
	if found := filesWith(t, dir, tokenText); len(found) != 0 {
		t.Errorf("the token is in %v", found)
	}
	c = newCache(FileStore{directory(dir)}, dir, newEvents())
	if _, err := c.Get(t.Context(), key, criteria, minting(tokenText)); err != nil {
		t.Fatal(err)
	}
	if found := filesWith(t, dir, tokenText); len(found) != 1 {
		t.Errorf("the search finds the token in %v, want one file", found)
	}
}

func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data)+f.Name(), text) {
			found = append(found, f.Name())
		}
	}
	return found
}
