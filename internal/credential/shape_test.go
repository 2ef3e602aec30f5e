package credential

import (
	"strings"
	"testing"
)

func TestHideSecrets(t *testing.T) {
	const hex = "0123456789abcdef0123456789ABCDEF"
	for _, secret := range []string{"dose" + hex, "dapi" + hex, "dapi" + hex + "-2", "eyJhbGciOiJSUzI1NiJ9xx.eyJhIjoxfQ.c2ln", "eyJhbGciOiJSUzI1NiJ9"} {
		for _, around := range []string{"%", "--client-id=%", `"%" is no option`, "https://%.example", "a%b"} {
			text := strings.ReplaceAll(around, "%", secret)
			got := HideSecrets(text)
			if !HoldsSecret(text) || strings.Contains(got, secret[:20]) || !strings.Contains(got, "[redacted]") {
				t.Errorf("%q is shown as %q", text, got)
			}
		}
	}
	// What is known of a token leaves no rest of it.
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"
	if got := HideSecrets("you sent dose-known and "+token+" here", NewSecret("dose-known"), NewSecret(token[:12])); got != "you sent [redacted] and [redacted] here" {
		t.Errorf("shown as %q", got)
	}
	for _, text := range []string{"", "dose", "a dose of it", "dose" + hex[1:], "doser", "eyJ", "6f3b8e2d-1111-4c0a-9a51-0c6f3b8e2d11", "projects/shop/branches/dapi/endpoints/e"} {
		if HoldsSecret(text) || HideSecrets(text) != text {
			t.Errorf("%q is taken for a secret", text)
		}
	}
}
