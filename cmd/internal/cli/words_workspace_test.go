package cli

import (
	"strings"
	"testing"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
)

// A hint's command means the target of the run that failed.
func TestHintsNameTheTarget(t *testing.T) {
	option := config.Source{Origin: config.FromOption, Name: "--host"}
	variable := config.Source{Origin: config.FromEnvironment, Name: "DATABRICKS_HOST"}
	profile := config.Source{Origin: config.FromProfile, Name: "key host of profile"}
	host, err := config.ParseWorkspace("a.cloud.databricks.com", option)
	if err != nil {
		t.Fatal(err)
	}
	for want, conf := range map[string]*config.Config{
		"":                {},
		" --profile prod": {Profile: config.Value[string]{Value: "prod"}, Workspace: config.Value[config.Workspace]{Value: host, Source: profile}, ClientID: config.Value[string]{Value: "id", Source: profile}},
		" --host a.cloud.databricks.com --client-id other": {Profile: config.Value[string]{Value: "prod"}, Workspace: config.Value[config.Workspace]{Value: host, Source: profile}, ClientID: config.Value[string]{Value: "other", Source: option}},
		" --host a.cloud.databricks.com --client-id id":    {Workspace: config.Value[config.Workspace]{Value: host, Source: option}, ClientID: config.Value[string]{Value: "id", Source: option}},
		" --client-id id":           {Workspace: config.Value[config.Workspace]{Value: host, Source: variable}, ClientID: config.Value[string]{Value: "id", Source: option}},
		" --databricks-profile DEV": {Workspace: config.Value[config.Workspace]{Value: host}, DatabricksProfile: config.Value[string]{Value: "DEV", Source: option}},
	} {
		for _, c := range []struct {
			err  *exchange.Error
			hint string
		}{
			{&exchange.Error{Kind: exchange.KindInvalidClient}, "; store a new one with: lakebase-credential-helper login"},
			{&exchange.Error{Kind: exchange.KindEndpointNotFound}, "; list the endpoints with: lakebase-credential-helper endpoints"},
			{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallCreateSecret}, ", and store it with: lakebase-credential-helper login"},
		} {
			if _, hint := Describe(c.err, conf); !strings.HasSuffix(hint, c.hint+want) {
				t.Errorf("%s, and not %s%s", hint, c.hint, want)
			}
		}
	}
}
