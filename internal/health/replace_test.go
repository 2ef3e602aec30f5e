package health

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var e *fs.PathError
	if err := replace(path, []byte("x")); !errors.As(err, &e) || e.Path != path {
		t.Errorf("over a folder: %v", err)
	}
	only(t, dir, "status.json")
	gone := filepath.Join(dir, "no", "status.json")
	if err := replace(gone, []byte("x")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Errorf("in no folder: %v", err)
	}
}

// A reader sees a whole document at any time.
func TestReplaceIsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	text := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 100_000)}
	if err := replace(path, []byte(text[0])); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			if err := replace(path, []byte(text[i%2])); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 200 {
		if got, err := os.ReadFile(path); err != nil || string(got) != text[0] && string(got) != text[1] {
			t.Errorf("%d bytes, %v", len(got), err)
			break
		}
	}
	wg.Wait()
}
