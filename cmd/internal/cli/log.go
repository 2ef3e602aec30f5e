package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"

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

var levelNames = map[slog.Level]string{levelNote: "note", levelProgress: "progress", levelHint: "hint", levelWarning: "warning", levelError: "error"}

// Logger writes a program's messages to stderr, one line each, as text or as JSON.
// What looks like a secret is redacted, and unsafe characters are escaped.
type Logger struct {
	program string
	out     io.Writer
	level   slog.Level
	json    *slog.Logger // nil: text
}

// NewLogger returns a Logger. level is one of config's LogQuiet, LogNormal and LogVerbose.
func NewLogger(program string, out io.Writer, level string, json bool) *Logger {
	l := &Logger{program: program, out: out, level: levelProgress}
	switch level {
	case config.LogQuiet:
		l.level = levelError
	case config.LogVerbose:
		l.level = levelNote
	}
	if json {
		l.json = slog.New(slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: l.level, ReplaceAttr: jsonAttr})).With("program", program)
	}
	return l
}

// jsonAttr gives the attributes of slog our names.
func jsonAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		a.Value = slog.StringValue(levelNames[a.Value.Any().(slog.Level)])
	}
	return a
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

// JSON reports whether lines are JSON.
func (l *Logger) JSON() bool { return l.json != nil }

func (l *Logger) write(level slog.Level, format string, args ...any) {
	if level < l.level {
		return
	}
	message := sanitize.Escape(credential.Redact(fmt.Sprintf(format, args...)))
	switch {
	case l.json != nil:
		l.json.Log(context.Background(), level, message)
	case level == levelProgress:
		fmt.Fprintf(l.out, "%s: %s\n", l.program, message)
	default:
		fmt.Fprintf(l.out, "%s: %s: %s\n", l.program, levelNames[level], message)
	}
}
