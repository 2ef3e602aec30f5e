package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

const (
	patience = 2 * time.Second // nothing is said about a run that takes less
	settled  = time.Second     // nor, where each stage is a line, about a stage
)

// Progress says what is being waited for when that takes longer than two
// seconds: a spinner on a terminal, one plain line for each stage elsewhere.
type Progress struct {
	say      *Say
	terminal bool
	begin    time.Time
	stop     chan struct{}
	watch    sync.Once // starts run
	done     sync.WaitGroup

	mu     sync.Mutex
	text   string
	detail string
	since  time.Time
}

// StartProgress begins to watch. Stop must be called before anything else is
// written to the terminal.
func StartProgress(say *Say, terminal bool) *Progress {
	return &Progress{say: say, terminal: terminal && !say.JSON, begin: time.Now(), stop: make(chan struct{})}
}

// At says what is waited for from now on. The first call starts a goroutine: a run
// whose token is in the cache waits for nothing, and needs no timer and no thread.
func (p *Progress) At(text string) {
	p.watch.Do(func() { p.done.Go(p.run) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if text != p.text {
		p.text, p.detail, p.since = text, "", time.Now()
	}
}

// Detail adds to what is waited for; only the spinner shows it.
func (p *Progress) Detail(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detail = text
}

// Stop ends the watch and clears the spinner.
func (p *Progress) Stop() {
	close(p.stop)
	p.done.Wait()
}

func (p *Progress) run() {
	begin := time.NewTimer(patience - time.Since(p.begin))
	defer begin.Stop()
	select {
	case <-p.stop:
		return
	case <-begin.C:
	}
	every := time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for n := 0; ; n++ {
		said = p.show(n, said)
		select {
		case <-p.stop:
			if p.terminal && said != "" {
				p.say.raw("\r\x1b[K")
			}
			return
		case <-tick.C:
		}
	}
}

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// show draws the spinner, or says a stage that was not said yet.
func (p *Progress) show(n int, said string) string {
	p.mu.Lock()
	text, detail, since := p.text, p.detail, p.since
	p.mu.Unlock()
	if text == "" || p.say.Level == "quiet" {
		return said
	}
	if p.terminal {
		waited := fmt.Sprintf("%d s", int(time.Since(since).Seconds()))
		if detail != "" {
			waited += ", " + sanitize.Escape(detail)
		}
		p.say.raw(fmt.Sprintf("\r%c %s: %s (%s)\x1b[K", spinner[n%len(spinner)], p.say.Program, sanitize.Escape(text), waited))
		return text
	}
	if text == said || time.Since(since) < settled {
		return said
	}
	p.say.Progress(text)
	return text
}
