package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
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
		s.line("hint", sanitize.Line(hint))
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
	text = sanitize.Escape(credential.HideSecrets(text))
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
