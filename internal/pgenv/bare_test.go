package pgenv

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBareHasNoSecret(t *testing.T) {
	got := Bare([]string{"PATH=/bin", "DATABRICKS_CLIENT_SECRET=dose", "DATABRICKS_TOKEN=dose", "PGPASSWORD=dose", "LAKEBASE_TOKEN_EXPIRES_AT=x",
		"DATABRICKS_OIDC_TOKEN_ENV=JOB ", "JOB=dose", "PGHOSTADDR=1.2.3.4", "DISPLAY=:0", "PATH=/twice", "LAKEBASE_CACERT=/ca.pem"})
	want := []string{"PATH=/bin", "DATABRICKS_OIDC_TOKEN_ENV=JOB ", "DISPLAY=:0", "LAKEBASE_CACERT=/ca.pem"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
