package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
)

// Values that look like secrets are redacted in each format and at each level.
func TestLogger_Redacts(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		s := NewLogger("prog", &out, config.LogVerbose, asJSON)
		const secret = "dose0123456789abcdef0123456789abcdef"
		s.Error(secret+" is no option", "try "+secret)
		s.Warn("a %s", secret)
		s.Hint("b %s", secret)
		s.Note("c %s", secret)
		s.Progress(secret)
		if strings.Contains(out.String(), secret[:12]) || strings.Count(out.String(), "[redacted]") != 6 {
			t.Errorf("%s", out.String())
		}
	}
}

func TestLogger_Levels(t *testing.T) {
	all := func(level string) string {
		var b bytes.Buffer
		s := NewLogger("prog", &b, level, false)
		s.Error("e\nx", "h")
		s.Warn("w %d", 1)
		s.Note("n %d", 2)
		s.Progress("p")
		return b.String()
	}
	for level, want := range map[string]string{
		config.LogQuiet:   "prog: error: e\\x0Ax\n",
		config.LogNormal:  "prog: error: e\\x0Ax\nprog: hint: h\nprog: warning: w 1\nprog: p\n",
		config.LogVerbose: "prog: error: e\\x0Ax\nprog: hint: h\nprog: warning: w 1\nprog: note: n 2\nprog: p\n",
	} {
		if got := all(level); got != want {
			t.Errorf("%s: %q", level, got)
		}
	}
	var b bytes.Buffer
	NewLogger("prog", &b, config.LogNormal, false).Error("e", "")
	if b.String() != "prog: error: e\n" {
		t.Errorf("without a hint: %q", b.String())
	}
}

func TestLogger_JSON(t *testing.T) {
	var b bytes.Buffer
	s := NewLogger("prog", &b, config.LogNormal, true)
	s.Error("e\x1b \"q\"", "h")
	s.Progress("p")
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q", b.String())
	}
	for i, want := range []map[string]string{{"level": "error", "message": `e\x1B "q"`}, {"level": "hint", "message": "h"}, {"level": "progress", "message": "p"}} {
		var got map[string]string
		err := json.Unmarshal([]byte(lines[i]), &got)
		if at, bad := time.Parse(time.RFC3339, got["time"]); bad != nil || time.Since(at) > time.Hour {
			t.Errorf("the time of %s: %v", lines[i], bad)
		}
		if err != nil || got["program"] != "prog" || got["level"] != want["level"] || got["message"] != want["message"] {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
}
