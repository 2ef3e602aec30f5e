package securefile

import "path/filepath"

// RuntimeCandidates lists the runtime folders to try: the option alone if there
// is one, else the one in the user's caches, which Time Machine leaves out.
func RuntimeCandidates(opt string, _ func(string) string, _ int, home string) []string {
	switch {
	case opt != "":
		return []string{opt}
	case !filepath.IsAbs(home):
		return nil
	}
	return []string{filepath.Join(home, "Library", "Caches", "lakebase", "run")}
}
