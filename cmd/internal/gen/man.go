package gen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/cmd/internal/cli"
	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// Man is the program's manual page, for man(7)'s macros (groff_man).
func (p Program) Man() string {
	m := &roff{}
	m.line(`.\" ` + notice)
	m.line(fmt.Sprintf(`.TH %s 1 "" %s "User Commands"`, esc(strings.ToUpper(p.Page.Name)), esc(p.Page.Name)))
	m.line(".nh") // a name that is broken in two cannot be copied
	m.line(".ad l")
	m.section("NAME")
	m.text(p.Page.Name + ` \- ` + esc(p.Page.Brief))
	p.manSynopsis(m)
	m.section("DESCRIPTION")
	m.paragraphs(p.Page.Text)
	p.manCommands(m)
	p.manOptions(m)
	p.manEnvironment(m)
	p.manExit(m)
	m.section("FILES")
	for _, f := range p.Files {
		m.item("I", f.Name, f.Text)
	}
	m.section("EXAMPLES")
	examples := slices.Clone(p.Page.Examples)
	for _, c := range p.Commands {
		examples = append(examples, c.Examples...)
	}
	m.examples(examples)
	m.section("SEE ALSO")
	for i, s := range p.SeeAlso {
		end := ","
		if i == len(p.SeeAlso)-1 {
			end = ""
		}
		if name, number, ok := strings.Cut(s, "("); ok {
			m.line(".BR " + esc(name) + " (" + number + end)
			continue
		}
		m.line(esc(s) + end)
	}
	return m.String()
}

func (p Program) manSynopsis(m *roff) {
	m.section("SYNOPSIS")
	usages := []string{p.Page.Usage}
	if len(p.Commands) > 0 {
		usages = nil
		for _, c := range p.Commands {
			usages = append(usages, c.Usage)
		}
	}
	for i, u := range usages {
		if i > 0 {
			m.line(".br")
		}
		rest := strings.TrimPrefix(u, p.Page.Name)
		m.line(".B " + esc(p.Page.Name))
		m.text(esc(strings.TrimSpace(rest)))
	}
}

func (p Program) manCommands(m *roff) {
	if len(p.Commands) == 0 {
		return
	}
	m.section("COMMANDS")
	for _, c := range p.Commands {
		m.line(".SS " + esc(c.Name) + ` \- ` + esc(c.Brief))
		m.paragraphs(c.Text)
		for _, o := range c.More {
			if o.Name != "help" {
				m.option(o, "")
			}
		}
	}
}

// manOptions lists the program's own options; those that the settings give its
// commands follow, with the commands that take them.
func (p Program) manOptions(m *roff) {
	m.section("OPTIONS")
	for _, o := range p.Page.Options(p.Settings) {
		m.option(o, "")
	}
	for _, u := range p.uses() {
		if !p.own(u) {
			m.option(u.Option, "For: "+strings.Join(u.commands, ", ")+".")
		}
	}
}

// own says whether an option is no setting; its command tells it.
func (p Program) own(u use) bool {
	for _, c := range p.Commands {
		if slices.ContainsFunc(c.More, func(o cli.Option) bool { return same(o, u.Option) }) {
			return true
		}
	}
	return false
}

func (p Program) manEnvironment(m *roff) {
	m.section("ENVIRONMENT")
	m.text("Options override variables. An empty variable counts as unset.")
	for _, s := range config.Settings() {
		taken := slices.ContainsFunc(p.Page.Options(p.Settings), func(o cli.Option) bool { return o.Name == s.Option }) ||
			slices.ContainsFunc(p.uses(), func(u use) bool { return u.Name == s.Option && u.From != "" })
		if taken && len(s.Env) > 0 {
			m.item("B", strings.Join(s.Env, ", "), "as --"+s.Option)
		}
	}
	for _, e := range p.Environment {
		m.item("B", e.Name, e.Text)
	}
}

func (p Program) manExit(m *roff) {
	m.section("EXIT STATUS")
	if p.Wraps {
		m.text(esc("The command's own; 128+n when a signal ended it. With a line \"" + p.Page.Name + ": error:\" it was never started:"))
	} else {
		m.item("B", "0", "it is done")
	}
	for _, e := range cli.ExitMeanings(p.Wraps) {
		m.item("B", fmt.Sprint(e.Code), e.Meaning)
	}
}

// roff is a page that is being written.
type roff struct{ strings.Builder }

func (m *roff) line(s string) { m.WriteString(s + "\n") }

func (m *roff) section(name string) { m.line(".SH " + name) }

// text writes one line of text that is escaped already; at its beginning a
// point or a quote would be a macro's.
func (m *roff) text(s string) {
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	m.line(s)
}

func (m *roff) paragraphs(s string) {
	for i, p := range strings.Split(s, "\n\n") {
		if i > 0 {
			m.line(".PP")
		}
		for _, l := range strings.Split(p, "\n") {
			m.text(esc(l))
		}
	}
}

// item is a tagged paragraph.
func (m *roff) item(font, tag, text string) {
	m.line(".TP")
	m.line("." + font + ` "` + esc(tag) + `"`)
	m.text(esc(text))
}

func (m *roff) option(o cli.Option, more string) {
	tag := `\fB` + esc("--"+o.Name) + `\fR`
	if o.Short != "" {
		tag = `\fB` + esc("-"+o.Short) + `\fR, ` + tag
	}
	if o.Value != "" {
		tag += ` \fI` + esc(o.Value) + `\fR`
	}
	m.line(".TP")
	m.line(tag)
	m.text(esc(strings.TrimSpace(o.Text + o.From)))
	if more != "" {
		m.line(".br")
		m.text(esc(more))
	}
}

func (m *roff) examples(list []string) {
	for i, e := range list {
		if i > 0 {
			m.line(".PP")
		}
		m.line(".EX")
		for _, l := range strings.Split(e, "\n") {
			m.text(esc(l))
		}
		m.line(".EE")
	}
}

// esc writes each character so that it is shown as it stands: roff makes
// hyphens, quotes and accents typographic (groff_char(7)), and the pages are
// ASCII, so that no locale matters.
func esc(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case special[r] != "":
			b.WriteString(special[r])
		case r > 126:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

var special = map[rune]string{'\\': `\e`, '-': `\-`, '\'': `\(aq`, '`': `\(ga`, '^': `\(ha`, '~': `\(ti`, '"': `\(dq`, '…': "..."}
