package exchange

import (
	"testing"
	"time"
)

// A token of which nobody says how long it lives is believed for as short as the
// API makes them.
func TestUnknownLifeIsFiveMinutes(t *testing.T) {
	sent := time.Now()
	for _, life := range []time.Duration{0, -time.Hour} {
		if got := newToken("t", sent, life).ExpiresAt.Sub(sent); got != 5*time.Minute {
			t.Errorf("a life of %s becomes %s", life, got)
		}
	}
	if got := newToken("t", sent, time.Minute).ExpiresAt.Sub(sent); got != time.Minute {
		t.Errorf("a life of a minute becomes %s", got)
	}
}
