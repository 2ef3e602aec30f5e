package securefile

import (
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// RuntimeDirs lists the runtime directories to try, in order: only the option if it
// is set; on macOS the one in the user's caches, which Time Machine skips; on
// Windows the one in the local application data; elsewhere systemd's
// RUNTIME_DIRECTORY (systemd.exec; it may list several), the user's runtime
// directory (XDG Base Directory Specification), and one in the home directory.
// Relative values count as unset, as in XDG. uid is the effective one; home may be
// empty.
func RuntimeDirs(option string, env func(string) string, uid int, home string) []string {
	if option != "" {
		return []string{option}
	}
	var list []string
	add := func(base string, below ...string) {
		if filepath.IsAbs(base) {
			list = append(list, filepath.Join(append([]string{base}, below...)...))
		}
	}
	switch runtime.GOOS {
	case "darwin":
		add(home, "Library", "Caches", "lakebase", "run")
	case "windows":
		add(env("LOCALAPPDATA"), "lakebase", "run")
	default:
		for dir := range strings.SplitSeq(env("RUNTIME_DIRECTORY"), ":") {
			add(dir)
		}
		add(env("XDG_RUNTIME_DIR"), "lakebase")
		add("/run/user/"+strconv.Itoa(uid), "lakebase")
		add(home, ".local", "state", "lakebase", "run")
	}
	return list
}
