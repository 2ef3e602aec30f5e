package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// runEnd is how a run ended.
type runEnd struct {
	begin          time.Time
	took           time.Duration
	code           int
	stdout, stderr string
}

// maxLine bounds a line for people: what a server said has 500 bytes, each of
// which may be shown as four.
const maxLine = 2600

// partOfToken is how much of a token must not be seen, in bytes.
const partOfToken = 24

// lifeOff is how far the expiry that get tells may be off.
const lifeOff = 10 * time.Second

// progressFrom is when a run may say what it waits for.
const progressFrom = 2 * time.Second

func (s *matrixStage) check(e *runEnd) {
	s.t.Helper()
	if e.code != s.exit {
		s.t.Errorf("exit code %d, not %d", e.code, s.exit)
	}
	if e.took < s.least {
		s.t.Errorf("took %s, not %s at the least", e.took, s.least)
	}
	s.checkWords(e)
	s.checkCounts(e)
	s.checkStdout(e)
	s.checkLeaks(e)
	if n := s.stranger.came.Load(); n != 0 {
		s.t.Errorf("%d connections came to the stranger", n)
	}
}

// checkWords holds stderr against the case: one error and one hint, or neither,
// and nothing else that was not asked for.
func (s *matrixStage) checkWords(e *runEnd) {
	s.t.Helper()
	said := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSuffix(e.stderr, "\n"), "\n") {
		kind, text := s.line(line)
		said[kind] = append(said[kind], text)
		if why := steers(line); why != "" {
			s.t.Errorf("stderr is not plain: %s", why)
		}
	}
	s.part(said)
	for _, want := range []struct {
		kind string
		re   *regexp.Regexp
	}{{"error", s.error}, {"hint", s.hint}} {
		got := said[want.kind]
		switch {
		case want.re == nil && len(got) != 0:
			s.t.Errorf("%s is said: %q", want.kind, got)
		case want.re != nil && (len(got) != 1 || !want.re.MatchString(got[0])):
			s.t.Errorf("%s is not one line that matches %q: %q", want.kind, want.re, got)
		}
	}
	if e.took < progressFrom && len(said["progress"]) > 0 {
		s.t.Errorf("progress is told after %s: %q", e.took, said["progress"])
	}
	if !slices.Contains(s.run, "--verbose") && len(said["note"]) > 0 || len(said["warning"])+len(said["?"]) > 0 {
		s.t.Errorf("said beside error and hint: %q %q %q", said["note"], said["warning"], said["?"])
	}
	for _, re := range s.says {
		if !slices.ContainsFunc(strings.Split(e.stderr, "\n"), re.MatchString) {
			s.t.Errorf("stderr has no line that matches %q", re)
		}
	}
	for _, text := range s.never {
		if strings.Contains(e.stdout+e.stderr, s.expanded(text)) {
			s.t.Errorf("%q is in the output", text)
		}
	}
}

// part takes get's hint out of its error: its callers show one line, in which
// both stand.
func (s *matrixStage) part(said map[string][]string) {
	if s.run[0] == "lakebase-exec" || len(said["error"]) != 1 || s.error == nil {
		return
	}
	line := said["error"][0]
	for i := range line {
		if hint, ok := strings.CutPrefix(line[i:], "; "); ok && s.error.MatchString(line[:i]) && s.hint.MatchString(hint) {
			said["error"], said["hint"] = []string{line[:i]}, []string{hint}
			return
		}
	}
}

// line reads one line of stderr: its kind, "?" for one that is not ours, and "" for none.
func (s *matrixStage) line(line string) (kind, text string) {
	if line == "" {
		return "", ""
	}
	if slices.Contains(s.run, "json") {
		var doc struct{ Program, Level, Message string }
		if json.Unmarshal([]byte(line), &doc) != nil || doc.Program != s.run[0] {
			return "?", line
		}
		if why := steers(doc.Message); why != "" {
			s.t.Errorf("the message is not plain: %s", why)
		}
		return doc.Level, doc.Message
	}
	rest, ours := strings.CutPrefix(line, s.run[0]+": ")
	kind, text, _ = strings.Cut(rest, ": ")
	switch {
	case !ours:
		return "?", line
	case kind == "error", kind == "hint", kind == "note", kind == "warning":
		return kind, text
	case strings.HasPrefix(rest, "waiting for "), strings.HasPrefix(rest, "signing in to "):
		return "progress", rest
	}
	return "?", line
}

// steers says what of a line a terminal would obey, or could not show.
func steers(line string) string {
	if !utf8.ValidString(line) {
		return fmt.Sprintf("no UTF-8: %q", line)
	}
	if len(line) > maxLine {
		return fmt.Sprintf("a line of %d bytes", len(line))
	}
	for _, r := range line {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Sprintf("%U in %q", r, line)
		}
	}
	return ""
}

// checkCounts looks at what came to the Lakebase and at the command's starts.
func (s *matrixStage) checkCounts(e *runEnd) {
	s.t.Helper()
	n := s.base.Counters()
	for _, call := range emulator.Calls() {
		if want := s.requests[call]; call != emulator.AnyCall && !want.holds(n.ByCall[call]) {
			s.t.Errorf("%d requests of %s, not %s", n.ByCall[call], call, want)
		}
	}
	logins := s.logins
	if logins.most > 0 {
		logins.most += int(e.took / time.Second) // beside those that were held
	}
	if !logins.holds(n.Logins) {
		s.t.Errorf("%d logins, not %s: %+v", n.Logins, s.logins, s.base.Logins())
	}
	data, err := os.ReadFile(s.startsFile())
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	if got := strings.Count(string(data), "started\n"); got != s.starts {
		s.t.Errorf("the command was started %d times, not %d", got, s.starts)
	}
}

// checkStdout: get prints one document when it works, and nothing else prints
// anything, the command aside.
func (s *matrixStage) checkStdout(e *runEnd) {
	s.t.Helper()
	if s.run[0] == "lakebase-exec" || e.code != 0 {
		if e.stdout != "" && s.starts == 0 || s.life != 0 {
			s.t.Errorf("stdout: %s", shortened(e.stdout))
		}
		return
	}
	var doc struct {
		ExpiresAt time.Time `json:"expires_at"`
		Expiry    time.Time `json:"expiry"`
	}
	if err := json.Unmarshal([]byte(e.stdout), &doc); err != nil {
		s.t.Fatalf("stdout is not one JSON document: %v", err)
	}
	at := doc.ExpiresAt
	if at.IsZero() {
		at = doc.Expiry
	}
	if early, late := e.begin.Add(s.life-lifeOff), e.begin.Add(e.took+s.life+lifeOff); s.life != 0 && (at.Before(early) || at.After(late)) {
		s.t.Errorf("the expiry told is %s from now, not %s", at.Sub(e.begin), s.life)
	}
}

// checkLeaks searches all that was said and written.
func (s *matrixStage) checkLeaks(e *runEnd) {
	s.t.Helper()
	said := e.stderr
	if s.run[0] == "lakebase-exec" || e.code != 0 {
		said += e.stdout
	}
	if found := s.leak(said, true); found != "" {
		s.t.Errorf("the output has %s in it", found)
	}
	if found := s.leak(e.stdout, false); found != "" {
		s.t.Errorf("stdout has %s in it", found)
	}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if found := s.leak(string(data), true); found != "" {
			s.t.Errorf("file %s has %s in it", path, found)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

func (s *matrixStage) leak(text string, tokens bool) string {
	if what := secretIn(s.base, text); what != "" {
		return what
	}
	if tokens {
		for _, t := range s.secrets { // a part of one, too
			for i := 0; i+partOfToken <= len(t); i += partOfToken / 3 {
				if strings.Contains(text, t[i:i+partOfToken]) {
					return "a token of the case, or a part of it"
				}
			}
		}
		if token.MatchString(text) {
			return "a token"
		}
	}
	if strings.Contains(text, "DATA RACE") { // execve loses its exit code
		return "a data race"
	}
	return ""
}
