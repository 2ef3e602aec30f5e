package emulator

import (
	"cmp"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
)

// The forms of an authorization request. The public client is sent back to a
// port of loopback that databricks-sdk-go credentials/u2m may listen on; a S256
// challenge is 43 characters (RFC 7636).
var (
	redirectForm  = regexp.MustCompile(`^http://localhost:80(2[0-9]|3[0-9]|40)$`)
	challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// authorize is GET of the page that asks the user, and what its buttons do: a
// POST, or for a client without buttons a GET, with approve=1 or approve=0.
func (a *api) authorize(r *http.Request, s Settings, _ string) reply {
	if err := r.ParseForm(); err != nil {
		return consentPage(http.StatusBadRequest, "The request cannot be read.", "")
	}
	user := cmp.Or(s.User, a.user)
	form := r.Form
	switch { // errors that are shown, because there is no URL to redirect to
	case repeated(form) != "":
		return consentPage(http.StatusBadRequest, "The parameter "+repeated(form)+" is repeated.", "")
	case form.Get("client_id") != publicClient:
		return consentPage(http.StatusBadRequest, "The client is unknown.", "")
	case !redirectForm.MatchString(form.Get("redirect_uri")):
		return consentPage(http.StatusBadRequest, "The redirect_uri is not registered for the client.", "")
	case !a.isUser(user):
		return consentPage(http.StatusForbidden, "No user of that name may sign in.", "")
	}
	if code, why := badRequest(form); code != "" {
		return sendBack(form, url.Values{"error": {code}, "error_description": {why}})
	}
	switch form.Get("approve") {
	case "1":
		c := code{family: &family{user: user, scope: form.Get("scope")}, challenge: form.Get("code_challenge"), redirect: form.Get("redirect_uri"),
			expires: s.clock().Add(cmp.Or(s.CodeLife, defaultCodeLife))}
		return sendBack(form, url.Values{"code": {a.grantCode(c)}})
	case "0":
		return sendBack(form, url.Values{"error": {"access_denied"}, "error_description": {user + " denied the request"}})
	}
	return consentPage(http.StatusOK, publicClient+" asks for access to this workspace.", user)
}

// badRequest returns the OAuth error of a request with a valid client and redirect URI.
func badRequest(form url.Values) (code, why string) {
	switch {
	case form.Get("response_type") != "code":
		return "unsupported_response_type", "response_type is not code"
	case form.Get("state") == "":
		return "invalid_request", "state is missing"
	case form.Get("code_challenge_method") != "S256":
		return "invalid_request", "code_challenge_method is not S256"
	case !challengeForm.MatchString(form.Get("code_challenge")):
		return "invalid_request", "code_challenge is not a S256 challenge"
	case !validScope(form.Get("scope")):
		return "invalid_scope", "The requested scope is invalid"
	}
	return "", ""
}

// sendBack sends the browser to the client, with its state.
func sendBack(form, answer url.Values) reply {
	if state := form.Get("state"); state != "" {
		answer.Set("state", state)
	}
	location := form.Get("redirect_uri") + "?" + answer.Encode()
	return reply{status: http.StatusFound, header: http.Header{"Location": {location}, "Cache-Control": {"no-store"}}}
}

const pageHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Local Lakebase - Authorize</title></head><body>
<h1>Local Lakebase</h1>
<p>%s</p>
%s</body></html>
`

const buttonsHTML = `<p>Signed in as <b id="user">%s</b>.</p>
<form method="post">
<button id="allow" name="approve" value="1">Allow</button>
<button id="deny" name="approve" value="0">Deny</button>
</form>
`

// consentPage is what the user sees; with a user it has the two buttons. Its form
// goes to the page's own address, which holds the request.
func consentPage(status int, words, user string) reply {
	buttons := ""
	if user != "" {
		buttons = fmt.Sprintf(buttonsHTML, html.EscapeString(user))
	}
	body := fmt.Sprintf(pageHTML, html.EscapeString(words), buttons)
	return reply{status: status, body: []byte(body),
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"no-store"}, "X-Frame-Options": {"DENY"}}}
}
