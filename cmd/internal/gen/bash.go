package gen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// bashShared runs in bash 3.2 too, which macOS has, and without the
// bash-completion package, which alone completes another command's arguments.
// Names are compared and quoted by hand: compgen -W would expand them.
const bashShared = `__lakebase_words() {
  local cur=$1 word
  shift
  for word; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}

__lakebase_profiles() {
  local name
  while IFS= read -r name; do
    if [[ $name == "$1"* ]]; then COMPREPLY+=("$(printf %q "$name")"); fi
  done < <(lakebase-credential-helper completion profiles 2>/dev/null </dev/null)
}

__lakebase_generated() {
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "${@:2}" -- "$1")
}

__lakebase_files() {
  compopt -o filenames 2>/dev/null
  __lakebase_generated "$1" -f
}

__lakebase_variables() { __lakebase_generated "$1" -e; }
`

const bashCommand = `
__lakebase_command() {
  if declare -F _comp_command_offset >/dev/null; then
    _comp_command_offset "$1"
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif ((COMP_CWORD == $1)); then
    __lakebase_generated "${COMP_WORDS[COMP_CWORD]}" -c
  else
    __lakebase_files "${COMP_WORDS[COMP_CWORD]}"
  fi
}
`

// Bash is the program's script for bash.
func (p Program) Bash() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion for %s.  -*- shell-script -*-\n# %s\n\n%s", p.Page.Name, notice, bashShared)
	if p.Wraps {
		b.WriteString(bashCommand)
	}
	// "=" is a word of its own there: --wait=auto is three.
	fmt.Fprintf(&b, `
%s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
`, identifier(p.Page.Name))
	if p.Wraps {
		b.WriteString(`  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == -- ]]; then
      __lakebase_command $((i + 1))
      return
    fi
  done
`)
	}
	b.WriteString(`  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
`)
	if p.Wraps {
		p.bashWraps(&b)
	} else {
		p.bashCommands(&b)
	}
	fmt.Fprintf(&b, "}\n\ncomplete -F %s %s\n", identifier(p.Page.Name), p.Page.Name)
	return b.String()
}

func (p Program) bashWraps(b *strings.Builder) {
	options := p.Page.Options(p.Settings)
	b.WriteString("  case $prev in\n")
	var cases patterns
	for _, o := range options {
		cases.add(bashAct(o), dashed(o)...)
	}
	cases.write(b, "")
	fmt.Fprintf(b, "    *) __lakebase_words \"$cur\" %s -- ;;\n  esac\n", bashOptions(options))
}

func (p Program) bashCommands(b *strings.Builder) {
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	fmt.Fprintf(b, "  if ((COMP_CWORD == 1)); then\n    __lakebase_words \"$cur\" %s %s\n    return\n  fi\n",
		strings.Join(names, " "), bashOptions(p.Page.Options(p.Settings)))
	b.WriteString("  case ${COMP_WORDS[1]}:$prev in\n")
	var cases patterns
	uses, named := p.uses(), map[string]int{}
	for _, u := range uses {
		named[u.Name]++
	}
	for _, u := range uses {
		commands := u.commands
		if named[u.Name] == 1 {
			commands = []string{"*"} // where a command does not take it, nothing is lost
		}
		for _, c := range commands {
			for _, d := range dashed(u.Option) {
				cases.add(bashAct(u.Option), c+":"+d)
			}
		}
	}
	cases.write(b, "; return")
	b.WriteString("  esac\n  case ${COMP_WORDS[1]} in\n")
	for _, c := range p.Commands {
		take := bashOptions(c.Options(config.Settings()))
		if len(c.Words) > 0 {
			take = strings.Join(c.Words, " ") + " " + take
		}
		fmt.Fprintf(b, "    %s) __lakebase_words \"$cur\" %s ;;\n", c.Name, take)
	}
	b.WriteString("  esac\n")
}

// patterns are those of a case statement, by what is done for them.
type patterns struct {
	acts []string
	of   map[string][]string
}

func (p *patterns) add(act string, pattern ...string) {
	if act == "" {
		return
	}
	if p.of == nil {
		p.of = map[string][]string{}
	}
	if p.of[act] == nil {
		p.acts = append(p.acts, act)
	}
	p.of[act] = append(p.of[act], pattern...)
}

func (p *patterns) write(b *strings.Builder, end string) {
	for _, act := range p.acts {
		fmt.Fprintf(b, "    %s) %s%s ;;\n", strings.Join(p.of[act], " | "), act, end)
	}
}

// bashAct completes an option's value; empty: it has none.
func bashAct(o cli.Option) string {
	switch kindOf(o) {
	case words:
		return `__lakebase_words "$cur" ` + strings.Join(o.Words, " ")
	case files:
		return `__lakebase_files "$cur"`
	case profiles:
		return `__lakebase_profiles "$cur"`
	case variables:
		return `__lakebase_variables "$cur"`
	case plain:
		return ":"
	}
	return ""
}

func bashOptions(options []cli.Option) string {
	var out []string
	for _, o := range slices.SortedFunc(slices.Values(options), byName) {
		out = append(out, dashed(o)...)
	}
	return strings.Join(out, " ")
}
