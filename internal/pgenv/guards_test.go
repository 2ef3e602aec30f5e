package pgenv

import (
	"slices"
	"testing"
)

// The list as it was promised, and not as it stands in the code: a name that is
// lost from one is missed in the other.
func TestPromisedNamesAreRemoved(t *testing.T) {
	promised := []string{
		"DATABRICKS_CLIENT_SECRET", "DATABRICKS_CLIENT_SECRET_FILE", "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD", "DATABRICKS_OIDC_TOKEN",
		"DATABRICKS_OIDC_TOKEN_FILEPATH", "DATABRICKS_AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
		"PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGPASSFILE", "PGREQUIREAUTH", "PGREQUIRESSL", "PGSSLNEGOTIATION", "PGSSLCERT", "PGSSLKEY",
		"PGSSLCRL", "PGSSLCRLDIR", "PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION", "PGCHANNELBINDING", "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS",
		"PGGSSENCMODE", "PGKRBSRVNAME", "PGREALM", "PGTTY", "PGSSLPASSWORD",
	}
	var caller []string
	for _, n := range promised {
		caller = append(caller, n+"=x")
	}
	stays := []string{"DATABRICKS_HOST=h", "DATABRICKS_CLIENT_ID=c", "PGOPTIONS=o", "PGTZ=UTC", "HOME=/"}
	r, err := Build(append(caller, stays...), minimal, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range promised {
		if !slices.Contains(r.Removed, n) {
			t.Errorf("%s stays", n)
		}
	}
	for _, e := range stays {
		if !slices.Contains(r.Environ, e) {
			t.Errorf("%s is gone", e)
		}
	}
}
