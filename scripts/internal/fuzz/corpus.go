package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// found is where Go keeps what has reached something new.
func (b *builder) found(p *place) string { return filepath.Join(b.cache, "fuzz", p.path) }

// largest is how many bytes an input may have that is kept: a repository is for
// reading.
const largest = 2 << 10

// keep fills testdata/fuzz up to n inputs of a fuzzer, with the shortest that Go
// has found: go test runs them as cases, and the next fuzzing begins with them.
func (b *builder) keep(f fuzzer, n int) error {
	if n == 0 {
		return nil
	}
	from, to := filepath.Join(b.found(f.place), f.name), filepath.Join(f.dir, "testdata", "fuzz", f.name)
	have, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	inputs, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was new
	}
	if err != nil {
		return err
	}
	size := func(e fs.DirEntry) int64 {
		info, err := e.Info()
		if err != nil {
			return largest + 1
		}
		return info.Size()
	}
	slices.SortFunc(inputs, func(x, y fs.DirEntry) int {
		return cmp.Or(cmp.Compare(size(x), size(y)), cmp.Compare(x.Name(), y.Name()))
	})
	left := n - len(have)
	for _, e := range inputs {
		known := slices.ContainsFunc(have, func(h fs.DirEntry) bool { return h.Name() == e.Name() })
		if known || size(e) > largest {
			continue
		}
		if left--; left < 0 {
			return nil
		}
		if err := copyInput(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyInput(from, to string) error {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
