package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Levels of log lines. LAKEBASE_LOG and --verbose decide on the least one shown.
const (
	levelNote     = slog.LevelDebug
	levelProgress = slog.LevelInfo
	levelHint     = slog.LevelInfo + 1
	levelWarning  = slog.LevelWarn
	levelError    = slog.LevelError
)

func levelName(level slog.Level) string {
	switch level {
	case levelNote:
		return "note"
	case levelProgress:
		return "progress"
	case levelHint:
		return "hint"
	case levelWarning:
		return "warning"
	}
	return "error"
}

// Logger writes a program's messages to stderr, one line each, as text or as JSON.
// What looks like a secret is redacted, and unsafe characters are escaped.
type Logger struct {
	program string
	out     *lockedWriter
	json    bool
	level   slog.Level
	log     *slog.Logger
}

// NewLogger returns a Logger. level is one of config's LogQuiet, LogNormal and LogVerbose.
func NewLogger(program string, out io.Writer, level string, json bool) *Logger {
	l := &Logger{program: program, out: &lockedWriter{w: out}, json: json, level: levelProgress}
	switch level {
	case config.LogQuiet:
		l.level = levelError
	case config.LogVerbose:
		l.level = levelNote
	}
	if json {
		l.log = slog.New(slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: l.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.MessageKey:
				a.Key = "message"
			case slog.LevelKey:
				a.Value = slog.StringValue(levelName(a.Value.Any().(slog.Level)))
			}
			return a
		}})).With("program", program)
	} else {
		l.log = slog.New(lineHandler{l})
	}
	return l
}

// Error logs why the command was not started, and what to do about it.
func (l *Logger) Error(message, hint string) {
	l.write(levelError, "%s", message)
	if hint != "" {
		l.write(levelHint, "%s", sanitize.Line(hint))
	}
}

// Warn logs what is not an error but must be known.
func (l *Logger) Warn(format string, args ...any) { l.write(levelWarning, format, args...) }

// Hint logs what to do next.
func (l *Logger) Hint(format string, args ...any) { l.write(levelHint, format, args...) }

// Note logs what is shown with --verbose only.
func (l *Logger) Note(format string, args ...any) { l.write(levelNote, format, args...) }

// Progress logs what the program waits for, or has done.
func (l *Logger) Progress(text string) { l.write(levelProgress, "%s", text) }

// shows reports whether lines of the level are shown.
func (l *Logger) shows(level slog.Level) bool { return level >= l.level }

// Verbose reports whether notes are shown.
func (l *Logger) Verbose() bool { return l.shows(levelNote) }

// JSON reports whether lines are JSON.
func (l *Logger) JSON() bool { return l.json }

func (l *Logger) write(level slog.Level, format string, args ...any) {
	if !l.shows(level) {
		return
	}
	l.log.Log(context.Background(), level, sanitize.Escape(credential.Redact(fmt.Sprintf(format, args...))))
}

// lineHandler is a slog.Handler of lines such as "program: error: message".
type lineHandler struct{ l *Logger }

func (h lineHandler) Enabled(_ context.Context, level slog.Level) bool { return h.l.shows(level) }

func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	kind := levelName(r.Level) + ": "
	if r.Level == levelProgress {
		kind = ""
	}
	_, err := io.WriteString(h.l.out, h.l.program+": "+kind+r.Message+"\n")
	return err
}

func (h lineHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h lineHandler) WithGroup(string) slog.Handler { return h }

// lockedWriter keeps lines and the spinner apart.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}
