package credential

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

func TestRedact_Known(t *testing.T) {
	const s = "dose/9f8e+7d6c?5b4a=3210"
	std := base64.StdEncoding.EncodeToString([]byte(s))
	raw := base64.RawURLEncoding.EncodeToString([]byte(s))
	for _, c := range []struct{ name, in, want string }{
		{"whole", "a " + s + " b", "a [redacted] b"},
		{"twice", s + "," + s, "[redacted],[redacted]"},
		{"alone", s, Redacted},
		{"a part of eight", "x" + s[3:11] + "!", "x[redacted]!"},
		{"a part of seven stays", "x" + s[3:10] + "!", "x" + s[3:10] + "!"},
		{"its beginning", "<" + s[:12] + ">", "<[redacted]>"},
		{"its end", "<" + s[12:] + ">", "<[redacted]>"},
		{"base64", "(" + std + ")", "([redacted])"},
		{"base64 for URLs", "(" + raw + ")", "([redacted])"},
		{"percent-encoded", "k=" + url.QueryEscape(s) + "&", "k=[redacted]&"},
		{"nothing of it", "nothing to hide: 12345678 dose", "nothing to hide: 12345678 dose"},
		{"empty", "", ""},
	} {
		if got := Redact(c.in, NewSecret(s)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got, want := Redact("a pin 1234 b 123 onesecret", NewSecret("1234"), Secret{}, NewSecret("onesecret")), "a pin [redacted] b 123 [redacted]"; got != want {
		t.Errorf("several: got %q, want %q", got, want)
	}
}

func TestRedact_Shape(t *testing.T) {
	const hex = "0123456789abcdef0123456789ABCDEF"
	for _, secret := range []string{"dose" + hex, "dapi" + hex, "dapi" + hex + "-2", "eyJhbGciOiJSUzI1NiJ9xx.eyJhIjoxfQ.c2ln", "eyJhbGciOiJSUzI1NiJ9"} {
		for _, around := range []string{"%", "--client-id=%", `"%" is no option`, "https://%.example", "a%b"} {
			text := strings.ReplaceAll(around, "%", secret)
			got := Redact(text)
			if !ContainsSecret(text) || strings.Contains(got, secret[:20]) || !strings.Contains(got, "[redacted]") {
				t.Errorf("%q is redacted to %q", text, got)
			}
		}
	}
	// A registered token is redacted as a whole.
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"
	if got := Redact("you sent dose-known and "+token+" here", NewSecret("dose-known"), NewSecret(token[:12])); got != "you sent [redacted] and [redacted] here" {
		t.Errorf("shown as %q", got)
	}
	for _, text := range []string{"", "dose", "a dose of it", "dose" + hex[1:], "doser", "eyJ", "6f3b8e2d-1111-4c0a-9a51-0c6f3b8e2d11", "projects/shop/branches/dapi/endpoints/e"} {
		if ContainsSecret(text) || Redact(text) != text {
			t.Errorf("%q is taken for a secret", text)
		}
	}
}
