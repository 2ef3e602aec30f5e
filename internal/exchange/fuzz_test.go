package exchange

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

func FuzzParseRefusal(f *testing.F) {
	for _, s := range []string{
		`{"error_code":403,"message":"m","details":[{"@type":"google.rpc.RequestInfo","request_id":"r"}]}`,
		`{"error":"invalid_client","error_id":"e","error_description":"d"}`, `{"detail":"d","scimType":"t","status":"409"}`,
		`CODE: message`, `<pre>p</pre>`, `<title>t`, `{`, `{"message":null,"token":"` + clientSecret + `"}`, "", clientSecret, "\xff\n",
	} {
		f.Add([]byte(s), 400)
	}
	c, err := New(Options{Host: "https://dbc-1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		said := parseRefusal(body)
		for _, call := range slices.Concat(slices.Collect(maps.Keys(calls)), slices.Collect(maps.Keys(roads))) {
			r := request{call: call, secrets: append([]credential.Secret{credential.NewSecret(clientSecret)}, said.tokens...)}
			kind := kindOf(r, status, said)
			if kind == "" || status < 500 && kind == KindUnavailable {
				t.Fatalf("kind %q for %d", kind, status)
			}
			e := c.fail(r, &Error{Kind: kind, Status: status, Code: said.code, Message: said.message, RequestID: said.requestID})
			if len(e.Message) > sanitize.MaxLine || len(e.Code) > sanitize.MaxLine || len(e.RequestID) > sanitize.MaxLine {
				t.Fatal("a text is too long")
			}
			if utf8.Valid(body) && !utf8.ValidString(e.Message) {
				t.Fatalf("a character was cut: %q", e.Message)
			}
			if strings.ContainsAny(e.Error(), "\r\n") || strings.Contains(e.Error(), clientSecret) {
				t.Fatalf("text = %q", e.Error())
			}
		}
	})
}

func FuzzTokenReplies(f *testing.F) {
	for _, s := range []string{
		tokenReply("abc"), `{"token":"abc","expire_time":"2026-08-01T11:00:00Z"}`, `{"token":"` + jwt(`{"iat":1,"exp":1e308}`) + `"}`,
		`{"token":"a.b.c"}`, `{"access_token":"a","expires_in":"1e3"}`, `{"access_token":"a`, `[]`, `null`, `<html>`, `{}{}`,
		endpointReply, `{"status":{}}`,
	} {
		f.Add([]byte(s), int64(0))
		f.Add([]byte(s), theirs.Unix())
	}
	f.Fuzz(func(t *testing.T, body []byte, date int64) {
		rep := reply{body: body, sentAt: ours.UTC()}
		if date != 0 {
			rep.date = time.Unix(date, 0)
		}
		for _, read := range []func(reply) (credential.Token, *Error){workspaceToken, databaseToken} {
			token, failed := read(rep)
			if failed != nil {
				if failed.Kind == "" || !token.Value.IsZero() {
					t.Fatalf("error %+v with a token", failed)
				}
				continue
			}
			if !token.Fresh(rep.sentAt, 0) || badToken(token.Value.Reveal()) != "" {
				t.Fatalf("life %v, token %q", token.ExpiresAt.Sub(token.MintedAt), token.Value.Reveal())
			}
		}
		for _, read := range []func([]byte) (Endpoint, *Error){readEndpoint, readInstance} {
			if _, failed := read(body); failed != nil && failed.Kind == "" {
				t.Fatal("no kind")
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "7", "-1", "1e9", "99999999999999999999", "Sat, 01 Aug 2026 10:00:30 GMT", "Mon, 02 Jan 9999 00:00:00 GMT"} {
		f.Add(s, ours.Unix())
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		if d := parseRetryAfter(value, time.Unix(now, 0)); d < 0 || d > maxRetryAfter {
			t.Fatalf("parseRetryAfter(%q) = %v", value, d)
		}
	})
}

func FuzzGrantReply(f *testing.F) {
	for _, s := range []string{`{"access_token":"a","refresh_token":"b","id_token":"c"}`, `{"refresh_token":7}`, `{"refresh_token":"a b"}`, `{`, `null`, `[]`, `{"Refresh_Token":"x","refresh_token":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		refresh, all := refreshToken(body)
		if refresh.IsZero() {
			return
		}
		if why := badToken(refresh.Reveal()); why != "" || !slices.ContainsFunc(all, refresh.Equal) {
			t.Fatalf("refresh token %q %s", refresh.Reveal(), why)
		}
	})
}

// Whatever a document says, what is adopted is a path on the host itself.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{"https://dbc-1/oidc", "https://dbc-1:443/oidc/accounts/{account_id}", "https://dbc-1@evil/", "https://dbc-1\\@evil/x", "https://dbc-1/..//x", "//dbc-1/x", "HTTPS://DBC-1/x", "https://dbc-1/\r\nX"} {
		f.Add(s, accountID, `["a"]`)
	}
	f.Fuzz(func(t *testing.T, endpoint, account, audiences string) {
		c, err := New(Options{Host: "https://dbc-1"})
		if err != nil {
			t.Fatal(err)
		}
		w := wireConfig{OIDCEndpoint: anyText(endpoint), AccountID: flexString(account), Audiences: []byte(audiences)}
		d := w.described()
		if len(d.Audiences) > maxAudiences {
			t.Fatalf("%d audiences", len(d.Audiences))
		}
		if path, failed := c.issuer(w, &d); failed == nil && (!isPath(path) || slices.Contains(strings.Split(path, "/"), "..")) {
			t.Fatalf("%q leads to %q", endpoint, path)
		}
		c.SetEndpoints(Discovery{TokenEndpoint: endpoint, AuthorizationEndpoint: endpoint, WorkspaceID: account})
		u, err := url.Parse(c.AuthorizeURL("s", "c", "http://localhost:8020"))
		if err != nil || u.Scheme != "https" || u.Host != "dbc-1" || u.User != nil || u.Query().Get("state") != "s" {
			t.Fatalf("%q was adopted as %v, %v", endpoint, u, err)
		}
		if a, err := c.Audience(d); err == nil && !strings.HasPrefix(strings.ToLower(a), "https://dbc-1") && !credential.IsUUID(a) {
			t.Fatalf("audience %q", a)
		}
	})
}
