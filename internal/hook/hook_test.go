package hook

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

func TestJSONHasTheDocumentedShape(t *testing.T) {
	out, err := JSON(Answer{
		Host: "ep-a.database.us-east-1.cloud.databricks.com", Port: 5432, Database: "databricks_postgres", User: "u&<é>", SSLMode: "verify-full",
		Password: credential.NewSecret("token"), ExpiresAt: time.Date(2026, 1, 1, 1, 1, 0, 999, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"host":"ep-a.database.us-east-1.cloud.databricks.com","port":5432,"dbname":"databricks_postgres",` +
		`"user":"u&<é>","password":"token","sslmode":"verify-full","expires_at":"2026-01-01T00:00:00Z"}` + "\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Error(diff)
	}
}

func FuzzJSONRoundTrips(f *testing.F) {
	f.Add("host", "data base", "user\n\"", "tok\u2028en")
	f.Fuzz(func(t *testing.T, host, database, user, password string) {
		for _, s := range []string{host, database, user, password} {
			if !utf8.ValidString(s) {
				return
			}
		}
		out, err := JSON(Answer{Host: host, Port: 1, Database: database, User: user, Password: credential.NewSecret(password)})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if got["host"] != host || got["dbname"] != database || got["user"] != user || got["password"] != password {
			t.Errorf("%q came back as %v", out, got)
		}
	})
}
