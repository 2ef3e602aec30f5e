package broker

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// What a workload's token says of itself is read as it stands; what is no JWT says
// nothing.
func FuzzClaims(f *testing.F) {
	f.Add(`{"iss":"https://i.example","sub":"s","aud":"a"}`, "i", "s", "a")
	f.Add(`{"aud":["a",1,null,"b"]}`, "", "\n", `"`)
	f.Add(`{"iss":1}`, "\x00", "", "")
	f.Fuzz(func(t *testing.T, text, issuer, subject, audience string) {
		_ = claimsOf(credential.NewSecret(text))
		_ = claimsOf(credential.NewSecret("h." + base64.RawURLEncoding.EncodeToString([]byte(text)) + ".s"))
		if !utf8.ValidString(issuer) || !utf8.ValidString(subject) || !utf8.ValidString(audience) {
			return // JSON has no such text
		}
		body, err := json.Marshal(map[string]any{"iss": issuer, "sub": subject, "aud": []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		want := Claims{Issuer: issuer, Subject: subject, Audience: audience}
		if got := claimsOf(credential.NewSecret("h." + base64.RawURLEncoding.EncodeToString(body) + ".s")); got != want {
			t.Fatalf("%+v, not %+v", got, want)
		}
	})
}
