package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Levels of log lines. LAKEBASE_LOG and --verbose decide on the least one shown. In JSON a
// hint is information.
const (
	levelNote     = slog.LevelDebug
	levelProgress = slog.LevelInfo
	levelHint     = slog.LevelInfo + 1
	levelWarning  = slog.LevelWarn
	levelError    = slog.LevelError
)

var levelNames = map[slog.Level]string{levelNote: "note", levelHint: "hint", levelWarning: "warning", levelError: "error"}

// Logger writes a program's messages to stderr, one line each, as text or as JSON.
// What looks like a secret is redacted, and unsafe characters are escaped.
type Logger struct {
	program string
	out     io.Writer
	level   slog.Level
	json    *slog.Logger // nil: text

	mu      sync.Mutex // held while the spinner is drawn or cleared, and a line of text written
	spinner bool       // it is shown
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
		l.json = slog.New(slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: l.level})).With("program", program)
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

// JSON reports whether lines are JSON.
func (l *Logger) JSON() bool { return l.json != nil }

func (l *Logger) write(level slog.Level, format string, args ...any) {
	if level < l.level {
		return
	}
	message := sanitize.Escape(credential.Redact(fmt.Sprintf(format, args...)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	switch {
	case l.json != nil && level == levelHint:
		l.json.Info("hint: " + message)
	case l.json != nil:
		l.json.Log(context.Background(), level, message)
	case level == levelProgress:
		fmt.Fprintf(l.out, "%s: %s\n", l.program, message)
	default:
		fmt.Fprintf(l.out, "%s: %s: %s\n", l.program, levelNames[level], message)
	}
}

// clear removes the spinner. The caller holds mu.
func (l *Logger) clear() {
	if l.spinner {
		_, _ = io.WriteString(l.out, clearLine)
	}
	l.spinner = false
}

const (
	showAfter = 2 * time.Second // a run that takes less shows no progress
	minStage  = time.Second     // off a terminal, a stage that takes less is not logged
)

// Progress shows what a run waits for once it takes longer than showAfter: a spinner
// on a terminal, one log line for each stage elsewhere. A nil *Progress shows nothing.
type Progress struct {
	log      *Logger
	terminal bool
	width    func() int      // of the terminal; read for each frame, as it may change
	ctx      context.Context // ended by stop
	stop     context.CancelFunc
	start    sync.Once // starts run
	done     sync.WaitGroup

	mu     sync.Mutex
	status string
	since  time.Time
	logged string // the last status that was logged
	ended  bool   // nothing is drawn any more; guarded by log.mu
}

func newProgress(log *Logger, terminal bool) *Progress {
	ctx, stop := context.WithCancel(context.Background())
	return &Progress{log: log, ctx: ctx, stop: stop,
		terminal: terminal && !log.JSON() && log.level <= levelProgress, width: func() int { return columns(log.out) }}
}

// columns returns the width of a terminal; 80 if it is unknown.
func columns(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

// SetStatus sets what the run waits for. The first call starts a goroutine: a run
// whose token is cached waits for nothing and needs neither timer nor thread.
func (p *Progress) SetStatus(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != p.status {
		p.status, p.since = text, time.Now()
	}
	p.start.Do(func() { p.done.Go(p.run) })
}

// Stop clears the spinner. Nothing is shown after it. It may be called again.
func (p *Progress) Stop() {
	if p != nil {
		p.stop()
		p.done.Wait()
	}
}

func (p *Progress) run() {
	select {
	case <-p.ctx.Done():
		return
	case <-time.After(showAfter):
	}
	interval := time.Second
	if p.terminal {
		interval = 100 * time.Millisecond
		defer p.clear()
		defer cleanUpOnSignal(p.clear)()
	}
	for n := 0; ; n++ {
		p.show(n)
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// clear removes the spinner for good.
func (p *Progress) clear() {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.clear()
	p.ended = true
}

// clearLine returns to the first column and erases the line (ECMA-48, EL).
const clearLine = "\r\x1b[K"

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// show draws the spinner, or logs a new status.
func (p *Progress) show(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(p.since)
	switch {
	case p.terminal:
		line := []rune(fmt.Sprintf("%c %s: %s (%d s)", spinner[n%len(spinner)], p.log.program, sanitize.Escape(p.status), int(took.Seconds())))
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		if !p.ended { // the last column would wrap on some terminals
			_, _ = io.WriteString(p.log.out, "\r"+string(line[:max(0, min(len(line), p.width()-1))])+"\x1b[K")
			p.log.spinner = true
		}
	case p.status != p.logged && took >= minStage:
		p.log.Progress(p.status)
		p.logged = p.status
	}
}
