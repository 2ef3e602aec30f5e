package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/test/emulator"
)

// countSpan is how often something happens.
type countSpan struct{ least, most int }

func (s countSpan) holds(n int) bool { return n >= s.least && n <= s.most }

func (s countSpan) String() string {
	if s.least == s.most {
		return strconv.Itoa(s.least)
	}
	return fmt.Sprintf("%d-%d", s.least, s.most)
}

// steerStep steers the Lakebase: some time after the start, or when something
// has come; with neither, before the start.
type steerStep struct {
	after time.Duration
	when  string // waking, started, or empty
	words []string
}

// matrixCase is one file, read.
type matrixCase struct {
	about    string
	instance bool
	env      []string
	steps    []steerStep
	doors    [][]string
	run      []string

	exit        int
	error, hint *regexp.Regexp
	says        []*regexp.Regexp
	never       []string
	requests    map[emulator.Call]countSpan
	logins      countSpan
	starts      int
	life        time.Duration
	least       time.Duration
}

// keywords read one line each. A file may have but one of those with once; those
// with whole take the rest of the line as one word.
var keywords = map[string]struct {
	once, whole bool
	read        func(c *matrixCase, w []string) error
}{
	"target": {true, false, func(c *matrixCase, w []string) error { c.instance = true; return wantOne(w, "instance") }},
	"env":    {false, false, func(c *matrixCase, w []string) error { c.env = append(c.env, w...); return wantAssignments(w) }},
	"lakebase": {false, false, func(c *matrixCase, w []string) error {
		c.steps = append(c.steps, steerStep{words: w})
		return wantSome(w, 1)
	}},
	"later": {false, false, readLater},
	"when":  {false, false, readWhen},
	"door":  {false, false, readDoor},
	"run":   {true, false, readRun},
	"exit":  {true, false, func(c *matrixCase, w []string) (err error) { c.exit, err = readNumber(w); return err }},
	"error": {true, true, func(c *matrixCase, w []string) (err error) { c.error, err = readPattern(w); return err }},
	"hint":  {true, true, func(c *matrixCase, w []string) (err error) { c.hint, err = readPattern(w); return err }},
	"says": {false, true, func(c *matrixCase, w []string) error {
		p, err := readPattern(w)
		c.says = append(c.says, p)
		return err
	}},
	"never":    {false, true, func(c *matrixCase, w []string) error { c.never = append(c.never, w...); return wantSome(w, 1) }},
	"requests": {true, false, readRequests},
	"logins":   {true, false, func(c *matrixCase, w []string) (err error) { c.logins, err = readSpan(w); return err }},
	"starts":   {true, false, readStarts},
	"life":     {true, false, func(c *matrixCase, w []string) (err error) { c.life, err = readDuration(w); return err }},
	"least":    {true, false, func(c *matrixCase, w []string) (err error) { c.least, err = readDuration(w); return err }},
}

// parseCase reads a file's text. Whatever it does not know is an error.
func parseCase(text string) (*matrixCase, error) {
	c := &matrixCase{}
	seen := map[string]bool{}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if after, ok := strings.CutPrefix(line, "# "); ok && len(seen) == 0 {
			c.about += after
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		k, known := keywords[name]
		words, err := []string{rest}, error(nil)
		if !k.whole {
			words, err = splitWords(rest)
		}
		switch {
		case !known:
			err = errors.New("no such keyword; comments come first, and no line is empty")
		case k.once && seen[name]:
			err = errors.New("stands twice")
		case err == nil:
			err = k.read(c, words)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", i+1, name, err)
		}
		seen[name] = true
	}
	return c, c.whole(seen)
}

// whole says what a file lacks.
func (c *matrixCase) whole(seen map[string]bool) error {
	if c.about == "" {
		return errors.New("it does not say what it is about")
	}
	must := []string{"run", "exit", "requests", "logins", "starts"}
	if c.exit != 0 {
		must = append(must, "error", "hint")
	}
	for _, name := range must {
		if !seen[name] {
			return fmt.Errorf("it has no line %q", name)
		}
	}
	if c.exit == 0 && (seen["error"] || seen["hint"]) {
		return errors.New("it has error or hint beside exit 0")
	}
	if c.exit != 0 && len(c.steps)+len(c.doors) == 0 {
		return errors.New("nothing happens, and it shall fail")
	}
	return nil
}

// commandLine is what the twin has in common with other cases.
func (c *matrixCase) commandLine() string {
	return fmt.Sprintf("%t %q %q", c.instance, c.env, c.run)
}

// twin is the same command without the fault, with the time that a slow machine
// takes for what succeeds.
func (c *matrixCase) twin() *matrixCase {
	t := &matrixCase{about: "twin", instance: c.instance, env: c.env, run: slices.Clone(c.run), logins: countSpan{0, 1}}
	t.requests = map[emulator.Call]countSpan{}
	for _, call := range []emulator.Call{emulator.CallToken, emulator.CallCredentials, emulator.CallEndpoint, emulator.CallInstanceCredentials, emulator.CallInstance} {
		t.requests[call] = countSpan{0, 1}
	}
	if c.run[0] == "lakebase-exec" {
		t.starts = 1
	}
	for i, w := range t.run[:len(t.run)-1] {
		if w == "--timeout" || w == "--wait-timeout" {
			t.run[i+1] = "60s"
		}
	}
	return t
}

func readLater(c *matrixCase, w []string) error {
	if err := wantSome(w, 2); err != nil {
		return err
	}
	after, err := readDuration(w[:1])
	c.steps = append(c.steps, steerStep{after: after, words: w[1:]})
	return err
}

func readWhen(c *matrixCase, w []string) error {
	if err := wantSome(w, 2); err != nil {
		return err
	}
	if w[0] != "waking" && w[0] != "started" {
		return errors.New("wants waking or started")
	}
	c.steps = append(c.steps, steerStep{when: w[0], words: w[1:]})
	return nil
}

func readDoor(c *matrixCase, w []string) error {
	if len(w) < 2 || w[0] != "workspace" && w[0] != "compute" || !slices.Contains(doorModes, w[1]) {
		return fmt.Errorf("wants workspace or compute, and one of %v", doorModes)
	}
	if raw := w[1] == "raw" || w[1] == "tls-raw"; raw != (len(w) == 3) || len(w) > 3 {
		return errors.New("raw and tls-raw, and no others, take bytes")
	}
	c.doors = append(c.doors, w)
	return nil
}

func readRun(c *matrixCase, w []string) error {
	c.run = w
	switch {
	case len(w) > 0 && w[0] == "lakebase-exec":
		return nil
	case len(w) > 1 && w[0] == "lakebase-credential-helper" && w[1] == "get" && !slices.Contains(w, "--"):
		return nil
	}
	return errors.New("wants lakebase-exec, or lakebase-credential-helper get")
}

func readStarts(c *matrixCase, w []string) (err error) {
	if c.starts, err = readNumber(w); err == nil && c.starts > 1 {
		err = errors.New("a command is never started twice")
	}
	return err
}

func readRequests(c *matrixCase, w []string) error {
	c.requests = map[emulator.Call]countSpan{}
	if len(w) == 1 && w[0] == "none" {
		return nil
	}
	for _, word := range w {
		name, value, _ := strings.Cut(word, "=")
		s, err := readSpan([]string{value})
		if call := emulator.Call(name); err != nil || call == emulator.AnyCall || !slices.Contains(emulator.Calls(), call) {
			return fmt.Errorf("%q is no CALL=N: %w", word, err)
		}
		c.requests[emulator.Call(name)] = s
	}
	return wantSome(w, 1)
}

func readSpan(w []string) (s countSpan, err error) {
	if len(w) != 1 {
		return s, errors.New("wants one number, or N-M")
	}
	least, most, ranged := strings.Cut(w[0], "-")
	if s.least, err = readNumber([]string{least}); err != nil {
		return s, err
	}
	if s.most = s.least; ranged {
		s.most, err = readNumber([]string{most})
	}
	if s.most < s.least {
		err = errors.New("the most is less than the least")
	}
	return s, err
}

func readNumber(w []string) (int, error) {
	if len(w) != 1 {
		return 0, errors.New("wants one number")
	}
	n, err := strconv.ParseUint(w[0], 10, 16)
	return int(n), err
}

func readDuration(w []string) (time.Duration, error) {
	if len(w) != 1 {
		return 0, errors.New("wants one duration")
	}
	d, err := time.ParseDuration(w[0])
	if err == nil && d <= 0 {
		err = errors.New("wants a duration above 0")
	}
	return d, err
}

func readPattern(w []string) (*regexp.Regexp, error) {
	if w[0] == "" {
		return nil, errors.New("wants a pattern")
	}
	return regexp.Compile(w[0])
}

func wantOne(w []string, word string) error {
	if len(w) != 1 || w[0] != word {
		return fmt.Errorf("wants %s", word)
	}
	return nil
}

func wantSome(w []string, least int) error {
	if len(w) < least {
		return errors.New("wants more words")
	}
	return nil
}

func wantAssignments(w []string) error {
	for _, word := range w {
		if name, _, ok := strings.Cut(word, "="); !ok || name == "" {
			return fmt.Errorf("%q is no NAME=VALUE", word)
		}
	}
	return wantSome(w, 1)
}
