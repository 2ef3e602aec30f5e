package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const (
	showAfter = 2 * time.Second // a run that takes less shows no progress
	minStage  = time.Second     // off a terminal, a stage that takes less is not logged
)

// Progress shows what a run waits for once it takes longer than showAfter: a spinner
// on a terminal, one log line for each stage elsewhere. A nil *Progress shows nothing.
type Progress struct {
	log      *Logger
	terminal bool
	begin    time.Time
	stop     chan struct{}
	start    sync.Once // starts run
	done     sync.WaitGroup

	mu     sync.Mutex
	status string
	detail string
	since  time.Time
}

// StartProgress returns a Progress. Stop must be called before anything else is
// written to the terminal.
func StartProgress(log *Logger, terminal bool) *Progress {
	return &Progress{log: log, terminal: terminal && !log.json, begin: time.Now(), stop: make(chan struct{})}
}

// SetStatus sets what the run waits for. The first call starts a goroutine: a run
// whose token is cached waits for nothing and needs neither timer nor thread.
func (p *Progress) SetStatus(text string) {
	if p == nil {
		return
	}
	p.start.Do(func() { p.done.Go(p.run) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != p.status {
		p.status, p.detail, p.since = text, "", time.Now()
	}
}

// SetDetail adds to the status; only the spinner shows it.
func (p *Progress) SetDetail(text string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detail = text
}

// Stop clears the spinner. Nothing is shown after it.
func (p *Progress) Stop() {
	if p != nil {
		close(p.stop)
		p.done.Wait()
	}
}

func (p *Progress) run() {
	begin := time.NewTimer(showAfter - time.Since(p.begin))
	defer begin.Stop()
	select {
	case <-p.stop:
		return
	case <-begin.C:
	}
	interval := time.Second
	if p.terminal {
		interval = 100 * time.Millisecond
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	shown := ""
	for n := 0; ; n++ {
		shown = p.show(n, shown)
		select {
		case <-p.stop:
			if p.terminal && shown != "" {
				_, _ = io.WriteString(p.log.out, "\r\x1b[K")
			}
			return
		case <-tick.C:
		}
	}
}

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// show draws the spinner, or logs a status that was not logged yet. It returns the
// status that is shown.
func (p *Progress) show(n int, shown string) string {
	p.mu.Lock()
	status, detail, since := p.status, p.detail, p.since
	p.mu.Unlock()
	switch {
	case status == "" || !p.log.shows(levelProgress):
		return shown
	case p.terminal:
		waited := fmt.Sprintf("%d s", int(time.Since(since).Seconds()))
		if detail != "" {
			waited += ", " + sanitize.Escape(detail)
		}
		fmt.Fprintf(p.log.out, "\r%c %s: %s (%s)\x1b[K", spinner[n%len(spinner)], p.log.program, sanitize.Escape(status), waited)
	case status == shown || time.Since(since) < minStage:
		return shown
	default:
		p.log.Progress(status)
	}
	return status
}
