package gen

import (
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
)

const zshShared = `_lakebase_profiles() {
  local expl
  local -a names
  names=(${(f)"$(lakebase-credential-helper completion profiles 2>/dev/null </dev/null)"})
  _wanted profiles expl profile compadd -a - names
}
`

// Zsh is the program's script for zsh: a function to be autoloaded from fpath,
// or a file to be sourced behind compinit.
func (p Program) Zsh() string {
	var b strings.Builder
	name := p.Page.Name
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion for %s.\n# %s\n\n%s\n_%s() {\n", name, name, notice, zshShared, name)
	if p.Wraps {
		p.zshWraps(&b)
	} else {
		p.zshCommands(&b)
	}
	fmt.Fprintf(&b, `}

if [[ $funcstack[1] == _%[1]s ]]; then
  _%[1]s "$@"
elif (( $+functions[compdef] )); then
  compdef _%[1]s %[1]s
fi
`, name)
	return b.String()
}

func (p Program) zshWraps(b *strings.Builder) {
	b.WriteString(`  local curcontext=$curcontext at
  local -a specs
  at=${words[(ie)--]}
  if (( at < CURRENT )); then
    shift $at words
    (( CURRENT -= at ))
    _normal
    return
  fi
  specs=(
`)
	for _, o := range p.Page.Options(p.Settings) {
		for _, s := range zshSpecs(o) {
			b.WriteString("    " + quoted(s) + "\n")
		}
	}
	b.WriteString("    '*:the command follows:(--)'\n  )\n  _arguments $specs\n")
}

func (p Program) zshCommands(b *strings.Builder) {
	b.WriteString(`  local curcontext=$curcontext name
  local -a commands specs mine
  local -A spec
  if (( CURRENT == 2 )); then
    commands=(
`)
	for _, c := range p.Commands {
		b.WriteString("      " + quoted(c.Name+":"+c.Brief) + "\n")
	}
	b.WriteString("    )\n    specs=(\n")
	for _, o := range p.Page.Options(p.Settings) {
		for _, s := range zshSpecs(o) {
			b.WriteString("      " + quoted(s) + "\n")
		}
	}
	b.WriteString("    )\n    _arguments $specs '1:command:{_describe command commands}'\n    return\n  fi\n")

	keys, taken := map[string][]string{}, map[string]bool{} // a command's specs; all
	b.WriteString("  spec=(\n")
	for _, u := range p.uses() {
		for i, s := range zshSpecs(u.Option) {
			key := dashed(u.Option)[i]
			if taken[key] {
				key = u.commands[0] + key
			}
			taken[key] = true
			fmt.Fprintf(b, "    %s %s\n", key, quoted(s))
			for _, c := range u.commands {
				keys[c] = append(keys[c], key)
			}
		}
	}
	b.WriteString("  )\n  case $words[2] in\n")
	for _, c := range p.Commands {
		fmt.Fprintf(b, "    %s) mine=(%s)", c.Name, strings.Join(keys[c.Name], " "))
		if len(c.Words) > 0 {
			fmt.Fprintf(b, "; specs=('1:word:(%s)')", strings.Join(c.Words, " "))
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString(`    *) return 1 ;;
  esac
  for name in $mine; do specs+=("$spec[$name]"); done
  shift words
  (( CURRENT-- ))
  _arguments $specs
`)
}

// zshSpecs describes an option to _arguments, its long form and then its short.
func zshSpecs(o cli.Option) []string {
	forms := dashed(o)
	before := ""
	switch {
	case o.Many:
		before = "*"
	case len(forms) > 1:
		before = "(" + strings.Join(forms, " ") + ")"
	}
	text := "[" + strings.NewReplacer(`\`, `\\`, `]`, `\]`, `[`, `\[`).Replace(o.Text) + "]"
	value := ""
	switch kindOf(o) {
	case words:
		value = ":" + o.Value + ":(" + strings.Join(o.Words, " ") + ")"
	case files:
		value = ":" + o.Value + ":_files"
	case profiles:
		value = ":" + o.Value + ":_lakebase_profiles"
	case variables:
		value = ":" + o.Value + `:_parameters -g "*export*"`
	case plain:
		value = ":" + o.Value + ": "
	}
	var out []string
	for i, f := range forms {
		if i == 0 && value != "" {
			f += "=" // or as the next word
		}
		out = append(out, before+f+text+value)
	}
	return out
}
