//go:build unix && !darwin

package securefile

import (
	"path/filepath"
	"strconv"
	"strings"
)

// RuntimeCandidates lists the runtime folders to try, best first: the option
// alone if there is one, else systemd's RUNTIME_DIRECTORY (systemd.exec; it may
// name several), the user's runtime folder (XDG Base Directory Specification),
// and one in the home folder. Relative values count as unset, as XDG has it. uid
// is the effective one; home may be "".
func RuntimeCandidates(opt string, env func(string) string, uid int, home string) []string {
	if opt != "" {
		return []string{opt}
	}
	var list []string
	add := func(base string, below ...string) {
		if filepath.IsAbs(base) {
			list = append(list, filepath.Join(append([]string{base}, below...)...))
		}
	}
	for dir := range strings.SplitSeq(env("RUNTIME_DIRECTORY"), ":") {
		add(dir)
	}
	add(env("XDG_RUNTIME_DIR"), "lakebase")
	add("/run/user/"+strconv.Itoa(uid), "lakebase")
	add(home, ".local", "state", "lakebase", "run")
	return list
}
