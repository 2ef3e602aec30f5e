package main

import (
	"testing"
	"time"
)

func TestParseLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, " 730d ": 730 * 24 * time.Hour, "1h": time.Hour, "36h30m": 36*time.Hour + 30*time.Minute, "17520h": 730 * 24 * time.Hour,
	} {
		if d, err := parseLifetime("--lifetime", text, minLifetime); err != nil || d != want {
			t.Errorf("%q: got %s, %v, want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"900d", "0d", "99999d", "59m", "17520h1s", "foo", "-1d", "1.5d", "d", "9999999999h", ""} {
		if d, err := parseLifetime("--lifetime", text, minLifetime); err == nil || err.Error() != `--lifetime: "`+text+`" is not a duration between 1h and 730d` {
			t.Errorf("%q: got %s, %v", text, d, err)
		}
	}
}
