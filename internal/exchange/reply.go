package exchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// maxRetryAfter bounds what a server can ask for. Nobody waits that long.
const maxRetryAfter = time.Hour

// maxErrorBody is how much of a refusal is looked at.
const maxErrorBody = 64 << 10

// wireError is every form in which Databricks says no: the API's error_code, a
// string or a number, with google.rpc details; SCIM's detail; and OAuth's error
// (databricks-sdk-go apierr/errors.go, RFC 6749 5.2). Types are not trusted.
type wireError struct {
	ErrorCode        flexString      `json:"error_code"`
	Message          flexString      `json:"message"`
	OAuthError       flexString      `json:"error"`
	ErrorDescription flexString      `json:"error_description"`
	ErrorID          flexString      `json:"error_id"`
	Detail           flexString      `json:"detail"`
	SCIMType         flexString      `json:"scimType"`
	Details          json.RawMessage `json:"details"`
	AccessToken      flexString      `json:"access_token"`
	Token            flexString      `json:"token"`
	Secret           flexString      `json:"secret"`
	RefreshToken     flexString      `json:"refresh_token"`
	IDToken          flexString      `json:"id_token"`
	Value            flexString      `json:"value"`
}

// loose is a string or a number; anything else reads as empty.
type flexString string

// UnmarshalJSON never fails.
func (l *flexString) UnmarshalJSON(b []byte) error {
	var s string
	var n json.Number
	switch {
	case json.Unmarshal(b, &s) == nil:
		*l = flexString(s)
	case json.Unmarshal(b, &n) == nil:
		*l = flexString(n)
	}
	return nil
}

// refusal is what a 4xx or 5xx says for itself.
type refusal struct {
	code, message, requestID string
	json                     bool
	page                     bool                // a web page that is not Databricks' own
	tokens                   []credential.Secret // that it holds, by mistake
}

// parseRefusal reads JSON, a web page whose message stands in <pre>, or plain
// text, with or without a code.
func parseRefusal(body []byte) refusal {
	text := strings.TrimSpace(string(body))
	var w wireError
	if strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &w) != nil {
			return refusal{} // cut short: what is left may hold anything
		}
		return w.read()
	}
	if strings.HasPrefix(text, "<") {
		if pre := between(text, "<pre>", "</pre>"); pre != "" {
			return refusal{message: pre}
		}
		return refusal{message: between(text, "<title>", "</title>"), page: true}
	}
	if code, message, ok := strings.Cut(text, ": "); ok && isCode(code) {
		return refusal{code: code, message: message}
	}
	return refusal{message: text}
}

func (w wireError) read() refusal {
	r := refusal{json: true, code: string(w.ErrorCode), message: string(w.Message), requestID: requestInfo(w.Details)}
	if r.requestID == "" {
		r.requestID = string(w.ErrorID)
	}
	switch {
	case r.message != "":
	case w.ErrorDescription != "":
		r.message = string(w.ErrorDescription)
	case w.Detail != "":
		r.message = strings.TrimSpace(string(w.SCIMType + " " + w.Detail))
	}
	// OAuth's error is a code; a gateway's ("Bad Target: /api/…") is a sentence.
	oauth := string(w.OAuthError)
	if strings.ContainsAny(oauth, " :") {
		if r.message == "" {
			r.message = oauth
		}
	} else if r.code == "" {
		r.code = oauth
	}
	for _, t := range []flexString{w.AccessToken, w.Token, w.Secret, w.RefreshToken, w.IDToken, w.Value} {
		if t != "" {
			r.tokens = append(r.tokens, credential.NewSecret(string(t)))
		}
	}
	return r
}

// requestInfo finds google.rpc.RequestInfo among an error's details.
func requestInfo(details json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(details, &list) != nil {
		return ""
	}
	for _, item := range list {
		var d struct {
			Type      flexString `json:"@type"`
			RequestID flexString `json:"request_id"`
		}
		if json.Unmarshal(item, &d) == nil && strings.HasSuffix(string(d.Type), "google.rpc.RequestInfo") && d.RequestID != "" {
			return string(d.RequestID)
		}
	}
	return ""
}

// headerID is the request's id as the headers give it.
func headerID(h http.Header) string {
	if id := h.Get("X-Request-Id"); id != "" {
		return id
	}
	return h.Get("X-Databricks-Request-Id")
}

// decode reads a 2xx body that must be one JSON object into v.
func decode(body []byte, v any) *Error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] == '<' {
		e := &Error{Kind: KindNotJSON, Message: "the reply is empty"}
		if len(body) > 0 {
			e.Message = strings.TrimSpace("a web page " + between(string(body), "<title>", "</title>"))
		}
		return e
	}
	d := json.NewDecoder(bytes.NewReader(body))
	err := d.Decode(v)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Kind: KindBroken, Message: "the reply is cut short", Err: io.ErrUnexpectedEOF}
	case errors.As(err, &wrongType):
		return &Error{Kind: KindBadReply, Message: "a field of the reply has the wrong type"}
	case err != nil:
		return &Error{Kind: KindNotJSON, Message: "the reply is not JSON"}
	case body[0] != '{':
		return &Error{Kind: KindBadReply, Message: "the reply is not a JSON object"}
	}
	if _, err := d.Token(); err != io.EOF {
		return &Error{Kind: KindNotJSON, Message: "the reply goes on after its JSON"}
	}
	return nil
}

// parseRetryAfter reads seconds or a date (RFC 9110 10.2.3), the latter counted
// from now. What it cannot read is 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		wait = time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		wait = maxRetryAfter
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, maxRetryAfter))
}

// isCode says whether s looks like SOME_ERROR_CODE.
func isCode(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// between returns what stands between two marks, or nothing.
func between(text, from, to string) string {
	_, rest, ok := strings.Cut(text, from)
	if !ok {
		return ""
	}
	inside, _, ok := strings.Cut(rest, to)
	if !ok {
		return ""
	}
	return strings.TrimSpace(inside)
}
