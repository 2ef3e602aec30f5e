package emulator

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secretsPrefix begins the path of the service-principal-secrets-proxy
// (databricks-sdk-go service/oauth2); an id and secretsSuffix follow.
const (
	secretsPrefix = "/api/2.0/accounts/servicePrincipals/"
	secretsSuffix = "/credentials/secrets"
)

// secretsPath takes the path apart: the service principal's id, and a secret's
// where one is named.
func secretsPath(path string) (principal, secret string, ok bool) {
	rest, ok := strings.CutPrefix(path, secretsPrefix)
	if !ok {
		return "", "", false
	}
	principal, rest, ok = strings.Cut(rest, secretsSuffix)
	if !ok || principal == "" || rest != "" && !strings.HasPrefix(rest, "/") {
		return "", "", false
	}
	return principal, strings.TrimPrefix(rest, "/"), true
}

// secretCall tells the three calls apart by their method.
func secretCall(r *http.Request, secret string) Call {
	switch {
	case r.Method == http.MethodGet && secret == "":
		return CallSecretList
	case r.Method == http.MethodPost && secret == "":
		return CallSecretCreate
	case r.Method == http.MethodDelete && secret != "":
		return CallSecretDelete
	}
	return CallOther
}

// secrets answers the calls about a service principal's secrets. The caller may
// ask about itself alone.
func (a *api) secrets(call Call, r *http.Request, s Settings, who string) reply {
	principal, secret, _ := secretsPath(r.URL.Path)
	switch {
	case s.SecretsDenied:
		return apiError(http.StatusForbidden, "PERMISSION_DENIED", "User does not have permission to manage secrets of this service principal.")
	case principal != a.principals.scimID(who) || a.principals.isUser(who):
		return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Service principal "+principal+" does not exist.")
	case call == CallSecretList:
		return a.listSecrets(r, s, who)
	case call == CallSecretDelete:
		if !a.principals.remove(who, secret) {
			return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Secret "+secret+" does not exist.")
		}
		return jsonReply(http.StatusOK, struct{}{})
	}
	lifetime, err := lifetimeAsked(r.Body)
	if err != nil {
		return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", err.Error())
	}
	made, ok := a.principals.create(who, s.clock(), lifetime, s.SecretDelay)
	if !ok {
		return apiError(http.StatusBadRequest, "RESOURCE_LIMIT_EXCEEDED", fmt.Sprintf("A service principal can have at most %d secrets.", maxSecrets))
	}
	body := made.document(s.clock())
	body["secret"] = made.value
	return jsonReply(http.StatusOK, body)
}

// lifetimeAsked reads {"lifetime":"63072000s"}.
func lifetimeAsked(body io.Reader) (time.Duration, error) {
	var in struct {
		Lifetime string `json:"lifetime"`
	}
	if err := json.NewDecoder(body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return 0, errors.New("the body is not JSON")
	}
	if in.Lifetime == "" {
		return defaultLifetime, nil
	}
	digits, ok := strings.CutSuffix(in.Lifetime, "s")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || n > int64(defaultLifetime/time.Second) {
		return 0, fmt.Errorf("'lifetime' is no duration of 1s to %ds: %q", defaultLifetime/time.Second, in.Lifetime)
	}
	return time.Duration(n) * time.Second, nil
}

// document is what the API tells of a secret at any time.
func (s spSecret) document(now time.Time) map[string]any {
	status := "ACTIVE"
	if !now.Before(s.expire) {
		status = "EXPIRED"
	}
	stamp := func(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }
	return map[string]any{
		"id": s.id, "secret_hash": fmt.Sprintf("%x", sha256.Sum256([]byte(s.value))), "status": status,
		"create_time": stamp(s.created), "update_time": stamp(s.created), "expire_time": stamp(s.expire),
	}
}

// listSecrets returns one page. Its token is where the next one begins.
func (a *api) listSecrets(r *http.Request, s Settings, who string) reply {
	size, from := secretPage, 0
	for name, into := range map[string]*int{"page_size": &size, "page_token": &from} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "'"+name+"' is not valid")
		}
		*into = n
	}
	all := a.principals.list(who)
	from = min(from, len(all))
	to := min(from+max(size, 1), len(all))
	items := []any{}
	for _, one := range all[from:to] {
		items = append(items, one.document(s.clock()))
	}
	page := map[string]any{"secrets": items}
	if to < len(all) {
		page["next_page_token"] = strconv.Itoa(to)
	}
	return jsonReply(http.StatusOK, page)
}
