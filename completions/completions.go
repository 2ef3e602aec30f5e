// Package completions holds what bash, zsh and fish need to complete both
// programs' command lines. The scripts are generated from the programs' help by
// scripts/generate; packages install the very files that are embedded here.
package completions

import _ "embed" // for the scripts

var (
	//go:embed lakebase-exec.bash
	execBash string
	//go:embed lakebase-credential-helper.bash
	helperBash string
	//go:embed _lakebase-exec
	execZsh string
	//go:embed _lakebase-credential-helper
	helperZsh string
	//go:embed lakebase-exec.fish
	execFish string
	//go:embed lakebase-credential-helper.fish
	helperFish string
)

// Shells are those that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script is what a shell has to source to complete both programs; empty for
// a shell that is not among Shells.
func Script(shell string) string {
	switch shell {
	case "bash":
		return execBash + "\n" + helperBash
	case "zsh":
		return execZsh + "\n" + helperZsh
	case "fish":
		return execFish + "\n" + helperFish
	}
	return ""
}
