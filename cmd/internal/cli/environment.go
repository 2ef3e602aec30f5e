// Package cli is what both programs share: options, help, completion, the logger, the
// exit codes, and the wiring of the packages under internal. It alone, with the
// programs, reads the process's environment.
package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/keychain"
	"github.com/lakebase-exec/lakebase-exec/internal/process"
	"github.com/lakebase-exec/lakebase-exec/internal/secretfile"
	"github.com/lakebase-exec/lakebase-exec/internal/securefile"
)

// Environment is what a program was started with, read once. It does not change.
type Environment struct {
	Program string
	Args    []string // without the program's name
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer

	vars       map[string]string
	reexecuted bool // secrets came over a pipe: see ReexecWithoutSecrets
}

// NewEnvironment returns the environment of a program. args begin with the program's
// name. The first of two variables of one name counts, as for getenv and so for libpq.
func NewEnvironment(program string, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) *Environment {
	environ, reexecuted := readPipedSecrets(environ)
	e := &Environment{Program: program, Environ: environ, reexecuted: reexecuted,
		Stdin: stdin, Stdout: stdout, Stderr: stderr, vars: map[string]string{}}
	if len(args) > 0 {
		e.Args = args[1:]
	}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if runtime.GOOS == "windows" { // there Path is PATH
			name = strings.ToUpper(name)
		}
		if _, seen := e.vars[name]; ok && name != "" && !seen {
			e.vars[name] = value
		}
	}
	return e
}

// Env returns a variable; an empty one counts as unset.
func (e *Environment) Env(name string) string { return e.vars[name] }

const envBus = "DBUS_SESSION_BUS_ADDRESS"

// sanitizeProcess removes from the process itself what libraries would read: pgconn
// reads every PG* variable and the service file, and godbus executes dbus-launch if
// there is no bus address. The command's environment is not made from it.
func (e *Environment) sanitizeProcess() (bus string) {
	for name := range e.vars {
		if strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	if bus = keychain.BusAddress(e.Env(envBus), fmt.Sprintf("/run/user/%d/bus", os.Getuid())); bus != "" {
		_ = os.Setenv(envBus, bus)
	}
	return bus
}

// Home returns the user's home directory, or an empty string.
func (e *Environment) Home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	if h := e.Env(name); h != "" {
		return h
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// ProfilesPath returns LAKEBASE_CONFIG_FILE, or the path in the configuration directory.
func (e *Environment) ProfilesPath() string {
	return cmp.Or(e.Env("LAKEBASE_CONFIG_FILE"), filepath.Join(e.configDir(), "lakebase", "profiles.ini"))
}

// configDir differs from os.UserConfigDir on macOS, where ~/.config is used too.
func (e *Environment) configDir() string {
	if d := e.Env("APPDATA"); runtime.GOOS == "windows" && filepath.IsAbs(d) {
		return d
	}
	if d := e.Env("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return d
	}
	return filepath.Join("/", e.Home(), ".config") // without a home: not the working directory's
}

// DatabricksPath returns the path of the Databricks tools' profiles:
// DATABRICKS_CONFIG_FILE, else .databrickscfg in the home directory
// (databricks-sdk-go, config/config_file.go, which takes "~" too).
func (e *Environment) DatabricksPath() string {
	f := cmp.Or(e.Env("DATABRICKS_CONFIG_FILE"), "~/.databrickscfg")
	if rest, ok := strings.CutPrefix(f, "~/"); ok {
		return filepath.Join("/", e.Home(), rest)
	}
	return f
}

// SecretFiles returns the secrets that login --store file stores.
func (e *Environment) SecretFiles() secretfile.Store {
	return secretfile.Store{Dir: filepath.Join(e.configDir(), "lakebase", "secrets")}
}

// Databricks reads the Databricks tools' profiles. Errors: *securefile.Error, *config.Error.
func (e *Environment) Databricks() (*config.DatabricksFile, error) {
	data, err := readProfiles(e.DatabricksPath())
	return config.ParseDatabricks(e.DatabricksPath(), data), err
}

// Profiles reads the profiles file.
func (e *Environment) Profiles() (*config.Profiles, error) {
	data, err := readProfiles(e.ProfilesPath())
	if err != nil {
		return nil, err
	}
	return config.ParseProfiles(e.ProfilesPath(), data)
}

// readProfiles returns the content of a file of profiles; nothing if it does not exist.
func readProfiles(path string) ([]byte, error) {
	data, err := securefile.ReadProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// SearchPath returns PATH, where the command is looked for, or the system's default.
func (e *Environment) SearchPath() string {
	if path, ok := e.vars["PATH"]; ok {
		return path
	}
	return process.DefaultPath
}

// ToolPath returns where programs that are not the command are looked for: in the
// absolute directories of PATH. A relative one depends on the working directory,
// which another user may have filled (os/exec, ErrDot).
func (e *Environment) ToolPath() string {
	dirs := slices.DeleteFunc(filepath.SplitList(e.SearchPath()), func(dir string) bool { return !filepath.IsAbs(dir) })
	// An empty PATH would be the working directory.
	return cmp.Or(strings.Join(dirs, string(filepath.ListSeparator)), process.DefaultPath)
}

// Terminal reports whether f is a terminal.
func Terminal(f any) bool {
	file, ok := f.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// Display returns the width of the terminal that standard output is, or 0, and whether it
// can show colors and symbols. NO_COLOR turns them off (no-color.org).
func (e *Environment) Display() (width int, symbols bool) {
	if !Terminal(e.Stdout) {
		return 0, false
	}
	return columns(e.Stdout), canRedraw(runtime.GOOS, e.Env) && e.Env("NO_COLOR") == ""
}

// StartProgress returns a Progress for standard error. Stop it before other output than
// the logger's.
func (e *Environment) StartProgress(log *Logger) *Progress {
	return newProgress(log, Terminal(e.Stderr) && canRedraw(runtime.GOOS, e.Env))
}

// canRedraw reports whether a terminal can redraw a line and show characters outside
// ASCII. The spinner has no color, so NO_COLOR changes nothing.
func canRedraw(goos string, env func(string) string) bool {
	if goos == "windows" {
		return true
	}
	locale := cmp.Or(env("LC_ALL"), env("LC_CTYPE"), env("LANG")) // POSIX, Internationalization Variables
	charset := strings.ReplaceAll(strings.ToLower(locale), "-", "")
	return env("TERM") != "" && env("TERM") != "dumb" && strings.Contains(charset, "utf8")
}

// Output returns the writer of a command's answer: standard output. Its errors are
// *OutputError; an empty write fails if it is closed.
func (e *Environment) Output() io.Writer { return output{e.Stdout, true} }

// ReportOutput is Output for a report, which may be discarded in a way that looks like
// a closed standard output.
func (e *Environment) ReportOutput() io.Writer { return output{e.Stdout, false} }

// OutputError reports that an answer could not be written to standard output.
type OutputError struct{ Err error }

func (e *OutputError) Error() string {
	if path, ok := errors.AsType[*fs.PathError](e.Err); ok {
		return "standard output: " + path.Err.Error()
	}
	return "standard output: " + e.Err.Error()
}

func (e *OutputError) Unwrap() error { return e.Err }

// Hint returns what to do about it.
func (e *OutputError) Hint() string {
	if errors.Is(e.Err, errClosed) {
		return "redirect standard output to a file or a pipe, or with >/dev/null to discard it"
	}
	return "redirect standard output to a writable file or pipe"
}

var errClosed = errors.New("is closed")

// output writes to standard output.
type output struct {
	io.Writer
	open bool // fail if it is closed
}

func (o output) Write(p []byte) (n int, err error) {
	if f, ok := o.Writer.(*os.File); ok && o.open && isClosed(f) {
		return 0, &OutputError{errClosed}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if n, err = o.Writer.Write(p); err != nil {
		err = &OutputError{err}
	}
	return n, err
}
