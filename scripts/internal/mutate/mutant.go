package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// broken is the file with the mutant in it.
func (m mutant) broken(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: its old text stands %d times in %s, not once:\n%s", m.name, n, m.file, m.old)
	}
	if m.old == m.new {
		return nil, fmt.Errorf("%s: it changes nothing", m.name)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// try puts the mutant into a tree, runs its tests, and puts the file back. sound
// is how long the tests take without it.
func (m mutant) try(ctx context.Context, tree string, sound time.Duration) result {
	path := filepath.Join(tree, m.file)
	before, err := os.ReadFile(path)
	if err != nil {
		return result{end: unusable, output: err.Error()}
	}
	after, err := m.broken(tree)
	if err == nil {
		err = os.WriteFile(path, after, 0o600)
	}
	if err != nil {
		return result{end: unusable, output: err.Error()}
	}
	r := goBuild(ctx, tree, filepath.Dir(m.file))
	if r.end == passed {
		r = goTest(ctx, tree, m.tests, 30*time.Second+4*sound)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		return result{end: unusable, output: err.Error()}
	}
	return r
}

// copyTree copies what git would show or add, so that neither builds nor node
// modules come along.
func copyTree(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "-C", from, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	names, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file with its mode, or a link; one that is gone is left out.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}
