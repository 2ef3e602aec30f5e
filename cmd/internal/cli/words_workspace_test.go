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
		" --profile prod": {Profile: config.Value[string]{V: "prod"}, Workspace: config.Value[config.Workspace]{V: host, From: profile}, ClientID: config.Value[string]{V: "id", From: profile}},
		" --host a.cloud.databricks.com --client-id other": {Profile: config.Value[string]{V: "prod"}, Workspace: config.Value[config.Workspace]{V: host, From: profile}, ClientID: config.Value[string]{V: "other", From: option}},
		" --host a.cloud.databricks.com --client-id id":    {Workspace: config.Value[config.Workspace]{V: host, From: option}, ClientID: config.Value[string]{V: "id", From: option}},
		" --client-id id":           {Workspace: config.Value[config.Workspace]{V: host, From: variable}, ClientID: config.Value[string]{V: "id", From: option}},
		" --databricks-profile DEV": {Workspace: config.Value[config.Workspace]{V: host}, DatabricksProfile: config.Value[string]{V: "DEV", From: option}},
	} {
		for _, c := range []struct {
			err  *exchange.Error
			hint string
		}{
			{&exchange.Error{Kind: exchange.KindInvalidClient}, "; store a new one with: lakebase-credential-helper login"},
			{&exchange.Error{Kind: exchange.KindEndpointNotFound}, "; see what there is with: lakebase-credential-helper endpoints"},
			{&exchange.Error{Kind: exchange.KindPermissionDenied, Call: exchange.CallCreateSecret}, ", and store it with: lakebase-credential-helper login"},
		} {
			if _, hint := Describe(c.err, conf); !strings.HasSuffix(hint, c.hint+want) {
				t.Errorf("%s, and not %s%s", hint, c.hint, want)
			}
		}
	}
}
