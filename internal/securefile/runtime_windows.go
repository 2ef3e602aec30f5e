package securefile

import "path/filepath"

// RuntimeCandidates lists the runtime folders to try: the option alone if there
// is one, else the one in the user's local application data.
func RuntimeCandidates(opt string, env func(string) string, _ int, _ string) []string {
	local := env("LOCALAPPDATA")
	switch {
	case opt != "":
		return []string{opt}
	case !filepath.IsAbs(local):
		return nil
	}
	return []string{filepath.Join(local, "lakebase", "run")}
}
