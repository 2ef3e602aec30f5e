package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestWithShortFirstAttempt(t *testing.T) {
	synctest.Test(t, testShortFirstAttempt)
}

func testShortFirstAttempt(t *testing.T) {
	var left []time.Duration
	results := []error{nil, errors.New("down"), errors.New("down"), nil, nil}
	m := withShortFirstAttempt(func(ctx context.Context, _ credential.Secret) (credential.Token, error) {
		deadline, _ := ctx.Deadline()
		left = append(left, time.Until(deadline))
		return credential.Token{}, results[len(left)-1]
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, want := range results {
		if _, err := m(ctx, credential.Secret{}); !errors.Is(err, want) {
			t.Errorf("attempt %d: got %v, want %v", i, err, want)
		}
	}
	for i, want := range []time.Duration{firstAttempt, firstAttempt, time.Minute, time.Minute, firstAttempt} {
		if left[i] != want {
			t.Errorf("attempt %d: got %s, want %s", i, left[i], want)
		}
	}
}
