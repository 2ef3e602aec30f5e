package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// template is a new cluster in memory, so that a process runs initdb once and leaves no
// directory behind. Trailing zeros of files are left out.
type template struct {
	once  sync.Once
	err   error
	files []templateFile
}

type templateFile struct {
	name string
	mode fs.FileMode
	size int64
	data []byte
}

// templates holds one per directory of binaries.
var templates sync.Map

// newServer makes a new cluster in dir, which its owner must be able to traverse:
// dir/data, and dir/s for the socket.
func newServer(ctx context.Context, bin, dir string) (*server, error) {
	who, err := serverOwner()
	if err != nil {
		return nil, err
	}
	s, err := makeDirs(bin, dir, who)
	if err != nil {
		return nil, err
	}
	v, _ := templates.LoadOrStore(bin, &template{})
	t := v.(*template)
	t.once.Do(func() { t.err = t.build(ctx, bin, who) })
	if t.err != nil {
		templates.CompareAndDelete(bin, v)
		return nil, t.err
	}
	return s, t.restore(s.data, who)
}

// makeDirs makes the two directories, which the owner alone can access.
func makeDirs(bin, dir string, who owner) (*server, error) {
	s := &server{bin: bin, owner: who, data: filepath.Join(dir, "data"), sockets: filepath.Join(dir, "s"), log: filepath.Join(dir, "postgres.log")}
	for _, d := range []string{s.data, s.sockets} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
		if err := who.give(d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// build runs initdb, makes the database and reads the result into memory.
func (t *template) build(ctx context.Context, bin string, who owner) error {
	dir, err := privateDir()
	if err != nil {
		return err
	}
	defer discard(dir)
	s, err := makeDirs(bin, dir, who)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the parent-death signal is the thread's
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.data, "-U", superuser, "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync", "--no-instructions")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, serverEnv(), who.attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(settings)
	if err := errors.Join(err, conf.Close()); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		_ = s.stop(ctx)
		return err
	}
	_, err = s.query(ctx, "postgres",
		"CREATE ROLE databricks_superuser NOLOGIN",
		"GRANT pg_read_all_data, pg_write_all_data TO databricks_superuser",
		"CREATE DATABASE "+Database)
	if err := errors.Join(err, s.stop(ctx)); err != nil {
		return err
	}
	return t.read(s.data)
}

func (t *template) read(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := templateFile{mode: info.Mode()}
		if f.name, err = filepath.Rel(root, path); err != nil {
			return err
		}
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.size, f.data = int64(len(data)), bytes.TrimRight(data, "\x00")
		}
		t.files = append(t.files, f)
		return nil
	})
}

// restore writes the cluster into an empty directory.
func (t *template) restore(root string, who owner) error {
	for _, f := range t.files {
		path := filepath.Join(root, f.name)
		if f.mode.IsDir() {
			if err := os.Mkdir(path, f.mode.Perm()); err != nil {
				return err
			}
		} else if err := writeSized(path, f); err != nil {
			return err
		}
		if err := who.give(path); err != nil {
			return err
		}
	}
	return nil
}

func writeSized(path string, f templateFile) error {
	if err := os.WriteFile(path, f.data, f.mode.Perm()); err != nil {
		return err
	}
	if int64(len(f.data)) == f.size {
		return nil
	}
	return os.Truncate(path, f.size)
}
