package gen

import (
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
)

const fishShared = `function __lakebase_profiles
    lakebase-credential-helper completion profiles 2>/dev/null </dev/null
end

`

const fishWraps = `function __lakebase_exec_behind
    contains -- -- (commandline -opc)
end

function __lakebase_exec_command
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l at (contains -i -- -- $words)
    or return
    set -e words[1..$at]
    set words (string escape -- $words)
    complete -C (string join -- ' ' $words "$token")
end

`

const fishCommands = `function __lakebase_helper_first
    test (count (commandline -opc)) -eq 1
end

function __lakebase_helper_in
    set -l words (commandline -opc)
    set -q words[2]
    and contains -- $words[2] $argv
end

`

// Fish is the program's script for fish.
func (p Program) Fish() string {
	var b strings.Builder
	name := p.Page.Name
	fmt.Fprintf(&b, "# fish completion for %s.\n# %s\n\n%s", name, notice, fishShared)
	if p.Wraps {
		b.WriteString(fishWraps)
	} else {
		b.WriteString(fishCommands)
	}
	fmt.Fprintf(&b, "complete -c %s -f\n", name)
	when := ""
	if p.Wraps {
		fmt.Fprintf(&b, "complete -c %s -n __lakebase_exec_behind -a '(__lakebase_exec_command)'\n", name)
		fmt.Fprintf(&b, "complete -c %s -n 'not __lakebase_exec_behind' -a -- -d 'the command follows'\n", name)
	} else {
		when = " -n __lakebase_helper_first"
	}
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "complete -c %s%s -a %s -d %s\n", name, when, c.Name, fishQuoted(c.Brief))
	}
	for _, o := range p.Page.Options(p.Settings) {
		b.WriteString("complete -c " + name + when + fishOption(o) + "\n")
	}
	for _, c := range p.Commands {
		if len(c.Words) > 0 {
			fmt.Fprintf(&b, "complete -c %s -n '__lakebase_helper_in %s' -a '%s'\n", name, c.Name, strings.Join(c.Words, " "))
		}
	}
	for _, u := range p.uses() {
		fmt.Fprintf(&b, "complete -c %s -n '__lakebase_helper_in %s'%s\n", name, strings.Join(u.commands, " "), fishOption(u.Option))
	}
	return b.String()
}

func fishOption(o cli.Option) string {
	s := ""
	if o.Short != "" {
		s += " -s " + o.Short
	}
	s += " -l " + o.Name
	switch kindOf(o) {
	case words:
		s += " -x -a " + fishQuoted(strings.Join(o.Words, " "))
	case files:
		s += " -r -F"
	case profiles:
		s += " -x -a '(__lakebase_profiles)'"
	case variables:
		s += " -x -a '(set -nx)'"
	case plain:
		s += " -x"
	}
	return s + " -d " + fishQuoted(o.Text)
}

func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
