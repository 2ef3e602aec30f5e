package health

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// What a killed run has left beside the file goes, and nothing else does.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	past := time.Now().Add(-10 * time.Minute)
	stays := []string{unfinished + rand.Text(), unfinished, unfinished + "notes", ".status.json"}
	for i, name := range append(stays, unfinished+rand.Text()) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // whose writer may be at it
			continue
		}
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	f := File{Path: filepath.Join(dir, "status.json"), Write: func(string, []byte) error { return nil }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Run(ctx, running)
	slices.Sort(stays)
	only(t, dir, stays...)
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
