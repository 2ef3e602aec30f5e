package setup

import (
	"context"
	"testing"
)

type fakeDatabase [][]string

func (f fakeDatabase) Query(context.Context, string) ([][]string, error) { return f, nil }

func TestMissing_OtherColumns(t *testing.T) {
	for _, row := range [][]string{{}, {"TABLE", "SELECT", "t"}, {"TABLE", "SELECT", "t", "", ""}} {
		if got, err := Missing(t.Context(), fakeDatabase{row}, "r", "public", "read"); err == nil || got != nil {
			t.Errorf("%q: got %q, %v, want an error", row, got, err)
		}
	}
}
