package process

import (
	"os"
	"path/filepath"
	"strings"
)

// defaultPathExt is what cmd.exe starts with, cut to what can be run without an
// association.
const defaultPathExt = ".COM;.EXE;.BAT;.CMD"

// Find looks a command up in the caller's PATH with the extensions of PATHEXT. A
// name with a separator or a drive is a path. The working directory is searched
// only if PATH names it, as PowerShell does. A name that ends in one of the
// extensions is tried as it is first.
//
// Errors: *NotFoundError, *NotExecutableError.
func Find(argv []string, s Search) (Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return Command{}, &NotFoundError{Reason: "the name of the command is empty"}
	}
	name := argv[0]
	dirs := []string{""}
	if !strings.ContainsAny(name, `:\/`) {
		dirs = filepath.SplitList(s.Path)
	}
	var refused error
	for _, dir := range dirs {
		if dir == "" && len(dirs) > 1 {
			continue
		}
		base := filepath.Join(dir, name)
		if !filepath.IsAbs(base) && s.Dir != "" {
			base = filepath.Join(s.Dir, base)
		}
		for _, path := range candidates(base, s.PathExt) {
			fi, err := os.Stat(path)
			switch {
			case err != nil:
			case fi.IsDir():
				refused = &NotExecutableError{Path: path, Reason: ErrDirectory.Error(), Err: ErrDirectory}
			default:
				return Command{Path: path, Argv: argv}, nil
			}
		}
	}
	if refused != nil {
		return Command{}, refused
	}
	return Command{}, &NotFoundError{Name: name, Reason: "no such command in PATH, with any extension of PATHEXT"}
}

// candidates lists the files that a name may stand for.
func candidates(base, pathExt string) []string {
	if pathExt == "" {
		pathExt = defaultPathExt
	}
	var list []string
	for ext := range strings.SplitSeq(pathExt, ";") {
		switch {
		case ext == "":
		case strings.EqualFold(filepath.Ext(base), ext):
			list = append([]string{base}, list...)
		default:
			list = append(list, base+ext)
		}
	}
	return list
}
