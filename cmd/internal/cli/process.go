// Package cli owns what both programs share of knowing the process: the
// snapshot of its environment, the options, the words for people, the exit
// codes, and the wiring of the rooms under internal. Nothing outside cmd may
// import it.
package cli

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
)

// Process is what a program was started with. The environment is taken once;
// nothing is read from the process again.
type Process struct {
	Program string
	Args    []string // without the program's name
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer

	env    map[string]string
	name   string // as this program was called
	hidden bool   // the secret came over a pipe: see HideSecret
}

// NewProcess takes the snapshot. Of variables that stand twice the first
// counts, as it does for getenv and so for libpq.
func NewProcess(program string, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) *Process {
	environ, hidden := takeSecret(environ)
	p := &Process{Program: program, Environ: environ, name: program, hidden: hidden, Stdin: stdin, Stdout: stdout, Stderr: stderr, env: map[string]string{}}
	if len(args) > 0 {
		p.name, p.Args = args[0], args[1:]
	}
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		if runtime.GOOS == "windows" { // there Path is PATH
			name = strings.ToUpper(name)
		}
		if _, twice := p.env[name]; ok && name != "" && !twice {
			p.env[name] = value
		}
	}
	return p
}

// Env gives a variable of the snapshot; empty and unset are the same.
func (p *Process) Env(name string) string { return p.env[name] }

// Isolate takes out of this very process what libraries would read from it
// behind our back: pgconn reads every PG* variable and its service file by
// itself, and godbus executes dbus-launch where it finds no bus address. The
// child gets its environment from the snapshot, so it notices none of this.
func (p *Process) Isolate() {
	for name := range p.env {
		if strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	address, ok := keychain.BusAddress(p.Env, os.Getuid())
	switch {
	case !ok:
		_ = os.Unsetenv("DBUS_SESSION_BUS_ADDRESS")
	case address != "":
		_ = os.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	}
}

// Home is the user's home folder, or empty.
func (p *Process) Home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	if h := p.Env(name); h != "" {
		return h
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// Now is the time.
func (p *Process) Now() time.Time { return time.Now() }

// Search looks for a command where the caller would have found it.
func (p *Process) Search() process.Search {
	path, set := p.env["PATH"]
	return process.Search{Path: path, PathSet: set}
}

// Tools looks for a program that we start ourselves: in the absolute folders of
// PATH alone. A relative one leads to wherever the caller stands, such as a folder
// that somebody else has filled (Go, os/exec, ErrDot).
func (p *Process) Tools() process.Search {
	s := p.Search()
	dirs := slices.DeleteFunc(filepath.SplitList(s.Path), func(dir string) bool { return !filepath.IsAbs(dir) })
	s.Path = strings.Join(dirs, string(filepath.ListSeparator))
	s.PathSet = s.PathSet && len(dirs) > 0 // an empty PATH would be the working directory
	return s
}

// Stdio is what the command reads and writes where it does not replace us.
func (p *Process) Stdio() process.Stdio {
	file := func(f any) *os.File { o, _ := f.(*os.File); return o }
	return process.Stdio{In: file(p.Stdin), Out: file(p.Stdout), Err: file(p.Stderr)}
}

// Terminal says whether f is a terminal.
func Terminal(f any) bool {
	file, ok := f.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}
