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
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
	for text, want := range map[string]string{
		"900d":        "--lifetime: 900d is not between 1h and 730d",
		"0d":          "--lifetime: 0d is not between 1h and 730d",
		"99999d":      "--lifetime: 99999d is not between 1h and 730d",
		" 59m ":       "--lifetime: 59m is not between 1h and 730d",
		"17520h1s":    "--lifetime: 17520h1s is not between 1h and 730d",
		"foo":         `--lifetime: "foo" is not a duration, such as 12h or 90d`,
		"-1d":         `--lifetime: "-1d" is not a duration, such as 12h or 90d`,
		"1.5d":        `--lifetime: "1.5d" is not a duration, such as 12h or 90d`,
		"d":           `--lifetime: "d" is not a duration, such as 12h or 90d`,
		"9999999999h": `--lifetime: "9999999999h" is not a duration, such as 12h or 90d`,
	} {
		if d, err := parseLifetime("--lifetime", text, minLifetime); err == nil || err.Error() != want {
			t.Errorf("%q: %s, %v, and not %s", text, d, err, want)
		}
	}
	if _, err := parseLifetime("--keep-old", "731d", minKept); err == nil || err.Error() != "--keep-old: 731d is not between 1s and 730d" {
		t.Error(err)
	}
}
