package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// Say is the one voice of a program: lines for people, on stderr.
type Say struct {
	Program string
	Out     io.Writer
	Level   string // config.LogQuiet, LogNormal, LogVerbose
	JSON    bool

	mu sync.Mutex
}

// Error says why the command was not started. It is said at every level.
func (s *Say) Error(message, hint string) {
	s.line("error", message)
	if hint != "" && s.Level != config.LogQuiet {
		s.line("hint", Foreign(hint))
	}
}

// Warn says what is not an error and should be known.
func (s *Say) Warn(format string, args ...any) {
	if s.Level != config.LogQuiet {
		s.line("warning", fmt.Sprintf(format, args...))
	}
}

// Hint says what could be done next.
func (s *Say) Hint(format string, args ...any) {
	if s.Level != config.LogQuiet {
		s.line("hint", fmt.Sprintf(format, args...))
	}
}

// Note is for --verbose.
func (s *Say) Note(format string, args ...any) {
	if s.Level == config.LogVerbose {
		s.line("note", fmt.Sprintf(format, args...))
	}
}

// Progress is the plain line about something that takes long.
func (s *Say) Progress(text string) {
	if s.Level != config.LogQuiet {
		s.line("progress", text)
	}
}

// line writes one line, whatever text holds.
func (s *Say) line(kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text = Plain(credential.HideSecrets(text))
	if s.JSON {
		out, err := json.Marshal(map[string]string{"program": s.Program, "level": kind, "message": text})
		if err == nil {
			_, _ = s.Out.Write(append(out, '\n'))
		}
		return
	}
	if kind == "progress" {
		_, _ = io.WriteString(s.Out, s.Program+": "+text+"\n")
		return
	}
	_, _ = io.WriteString(s.Out, s.Program+": "+kind+": "+text+"\n")
}

// raw writes to the terminal as it is, for the spinner.
func (s *Say) raw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.Out, text)
}

// maxForeign is the most bytes of a server's or a file's words that are shown.
const maxForeign = 500

// Foreign cuts what a server or a file said to 500 bytes. Plain then shows what
// could steer a terminal as \xNN.
func Foreign(text string) string {
	text = credential.HideSecrets(strings.TrimSpace(text)) // before the cut, which could leave half of one
	if len(text) > maxForeign {
		cut := maxForeign
		for cut > maxForeign-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return text
}

// Plain shows control, escape and bidirectional characters, and bytes that are
// no UTF-8, as \xNN, so that text of any origin is one harmless line.
func Plain(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 || Steers(r) {
			for _, c := range []byte(text[i : i+n]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		} else {
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Steers says whether r is a control, escape or bidirectional character, or
// another one that is not seen.
func Steers(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
