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

// What looks like a token is hidden, whoever's it is.
func TestStrangersTokensAreHidden(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJl"
	if got := clean("refused: "+token+", sorry", nil); got != "refused: [redacted], sorry" {
		t.Errorf("%q", got)
	}
	if got := clean("refused: eyJ, sorry", nil); got != "refused: eyJ, sorry" {
		t.Errorf("%q", got)
	}
}
