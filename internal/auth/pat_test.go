package auth

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

func TestPAT(t *testing.T) {
	f := newFake()
	conf := resolveUser(t, "DATABRICKS_TOKEN", "dapi-1")
	chain := f.chain(conf)
	id, err := token(t, chain)
	if err != nil || id.Type != AuthPAT || id.Given.Reveal() != "dapi-1" || id.User != "" || f.took() != "" {
		t.Errorf("got %+v, %v", id, err)
	}
	if err := refreshed(t, chain); err != nil {
		t.Error(err)
	}
	h := HinterFor(conf)
	if got := h.TokenName(conf); got != "DATABRICKS_TOKEN" {
		t.Errorf("got %q", got)
	}
	if got := h.Hint(&exchange.Error{Kind: exchange.KindBearerRefused}, conf); !strings.Contains(got, "DATABRICKS_TOKEN") || h.Hint(&exchange.Error{Kind: exchange.KindUnavailable}, conf) != "" {
		t.Errorf("got %q", got)
	}
}
