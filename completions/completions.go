// Package completions holds what bash, zsh and fish need to complete both
// programs' command lines. The scripts are generated from the programs' help by
// scripts/generate; packages install the very files that are embedded here.
package completions

import "embed"

//go:embed lakebase-* _lakebase-*
var scripts embed.FS

// files are the names of the scripts of each shell, around a program's name.
var files = map[string][2]string{"bash": {"", ".bash"}, "zsh": {"_", ""}, "fish": {"", ".fish"}}

// Shells returns the shells that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns what a shell has to source to complete both programs; empty for
// a shell that is not among Shells.
func Script(shell string) (text string) {
	name, ok := files[shell]
	if !ok {
		return ""
	}
	for _, program := range []string{"lakebase-exec", "lakebase-credential-helper"} {
		script, _ := scripts.ReadFile(name[0] + program + name[1]) // embedded
		text += string(script) + "\n"
	}
	return text
}
