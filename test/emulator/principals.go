package emulator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxSecrets is how many secrets a service principal may have, and defaultLifetime a
	// secret's lifetime (Databricks, "Authorize service principal access with OAuth").
	maxSecrets      = 5
	defaultLifetime = 730 * 24 * time.Hour
	// secretPage is how many secrets a page of the list holds if the client does not
	// say: few, so that every client has to turn pages.
	secretPage = 2
	// defaultUser signs in if Options.UserName is empty.
	defaultUser = "ada@example.com"
)

// Secret is a service principal's secret.
type Secret struct {
	ID              string
	Value           string // which the API shows once, when it is made
	Created, Expire time.Time
	from            time.Time // it is refused before
}

// principal is a service principal with its secrets in the order of their making, or a
// user.
type principal struct {
	id      string // SCIM's
	secrets []Secret
	user    bool
	pat     string // a user's; "" until one is asked for
}

// principals are the service principals by client ID, and the users by user name.
type principals struct {
	mu     sync.Mutex
	byName map[string]*principal
	values []string // every secret that ever was
}

// add makes a user, or a service principal with a secret.
func (p *principals) add(name, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byName == nil {
		p.byName = map[string]*principal{}
	}
	sum := sha256.Sum256([]byte(name))
	who := &principal{id: "41" + strconv.FormatUint(uint64(binary.BigEndian.Uint32(sum[:]))<<16|1<<41, 10), user: secret == ""}
	p.byName[name] = who
	if secret != "" { // from is zero: a clock that is set back later does not take it away
		now := time.Now()
		p.keep(who, Secret{ID: newUUID(), Value: secret, Created: now, Expire: now.Add(defaultLifetime)})
	}
}

// keep adds a secret; mu is held.
func (p *principals) keep(who *principal, s Secret) {
	who.secrets = append(who.secrets, s)
	p.values = appendBounded(p.values, s.Value)
}

// get returns a copy; its id is "" if there is none of that name.
func (p *principals) get(name string) principal {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[name]
	if who == nil {
		return principal{}
	}
	out := *who
	out.secrets = slices.Clone(who.secrets)
	return out
}

// signsIn reports whether a secret is one of the client's, and works now.
func (p *principals) signsIn(clientID, secret string, now time.Time) bool {
	return slices.ContainsFunc(p.get(clientID).secrets, func(s Secret) bool {
		return subtle.ConstantTimeCompare([]byte(s.Value), []byte(secret)) == 1 && now.Before(s.Expire) && !now.Before(s.from)
	})
}

// create makes a secret, or none if there are maxSecrets.
func (p *principals) create(clientID string, now time.Time, lifetime, delay time.Duration) (Secret, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[clientID]
	if who == nil || who.user || len(who.secrets) >= maxSecrets {
		return Secret{}, false
	}
	s := Secret{ID: newUUID(), Value: newSecret(), Created: now, Expire: now.Add(lifetime), from: now.Add(delay)}
	p.keep(who, s)
	return s, true
}

func (p *principals) remove(clientID, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[clientID]
	if who == nil {
		return false
	}
	n := len(who.secrets)
	who.secrets = slices.DeleteFunc(who.secrets, func(s Secret) bool { return s.ID == id })
	return len(who.secrets) < n
}

// remember keeps a secret that must be found nowhere.
func (p *principals) remember(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = appendBounded(p.values, value)
}

// byPAT returns the user whose personal access token this is; "" if there is none.
func (p *principals) byPAT(token string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, who := range p.byName {
		if who.pat != "" && subtle.ConstantTimeCompare([]byte(who.pat), []byte(token)) == 1 {
			return name
		}
	}
	return ""
}

// Secrets lists the secrets of ClientID that have not been deleted.
func (l *Lakebase) Secrets() []Secret { return l.principals.get(l.ClientID).secrets }

// AddSecret makes another secret of ClientID, as an administrator would in the
// console.
func (l *Lakebase) AddSecret() (Secret, error) {
	s, ok := l.principals.create(l.ClientID, l.Settings().clock(), defaultLifetime, 0)
	if !ok {
		return Secret{}, fmt.Errorf("emulator: there are %d secrets", maxSecrets)
	}
	return s, nil
}

// EverySecret lists each secret that ever was, each personal access token, refresh
// token and workload token (the last 10,000 at most): what must be found nowhere.
func (l *Lakebase) EverySecret() []string {
	l.principals.mu.Lock()
	defer l.principals.mu.Unlock()
	return slices.Clone(l.principals.values)
}

// AddUser makes one more user, with a Postgres role of the same name.
// Settings.User has them sign in. A sleeping server is started for it, and
// stays up.
func (l *Lakebase) AddUser(ctx context.Context, userName string) error {
	l.principals.add(userName, "")
	if l.compute == nil {
		return nil
	}
	if err := l.compute.resume(ctx); err != nil {
		return err
	}
	return l.compute.server.createRoles(ctx, userName)
}

// PAT is the personal access token of Lakebase.User: "dapi" and 32 hex digits.
// It is a bearer of the API, and no password.
func (l *Lakebase) PAT() string {
	p := l.principals
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[l.User]
	if who.pat == "" {
		who.pat = fmt.Sprintf("dapi%x", random(16))
		p.values = appendBounded(p.values, who.pat)
	}
	return who.pat
}

// IssueRefresh makes a refresh token of a user, as a browser would have
// fetched it; "" is Lakebase.User. It is empty for an unknown user.
func (l *Lakebase) IssueRefresh(userName string) string {
	userName = orDefault(userName, l.User)
	if !l.principals.get(userName).user {
		return ""
	}
	return l.api.sessions.issue(&family{user: userName}, l.Settings())
}

// me is the SCIM user of the caller: a service principal's user name is its client ID.
func (a *api) me(name string) reply {
	who := a.principals.get(name)
	user := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"},
		"id":      who.id, "userName": name, "displayName": "local-lakebase", "active": true,
	}
	if who.user {
		user["displayName"], _, _ = strings.Cut(name, "@")
		user["emails"] = []map[string]any{{"value": name, "type": "work", "primary": true}}
	}
	return jsonReply(http.StatusOK, user)
}

// secretsPrefix begins the path of the service-principal-secrets-proxy
// (databricks-sdk-go service/oauth2); an ID and secretsSuffix follow.
const (
	secretsPrefix = "/api/2.0/accounts/servicePrincipals/"
	secretsSuffix = "/credentials/secrets"
)

// secretsPath returns the service principal's ID and, if one is named, a secret's.
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
func secretCall(method, secret string) Call {
	switch {
	case method == http.MethodGet && secret == "":
		return CallSecretList
	case method == http.MethodPost && secret == "":
		return CallSecretCreate
	case method == http.MethodDelete && secret != "":
		return CallSecretDelete
	}
	return CallOther
}

// secrets answers the calls about a service principal's secrets. The caller may
// ask about itself alone.
func (a *api) secrets(call Call, r *http.Request, s Settings, name string) reply {
	principal, secret, _ := secretsPath(r.URL.Path)
	who := a.principals.get(name)
	switch {
	case s.SecretsDenied:
		return apiError(http.StatusForbidden, "PERMISSION_DENIED", "User does not have permission to manage secrets of this service principal.")
	case principal != who.id || who.user:
		return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Service principal "+principal+" does not exist.")
	case call == CallSecretList:
		return listSecrets(r, s, who.secrets)
	case call == CallSecretDelete:
		if !a.principals.remove(name, secret) {
			return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Secret "+secret+" does not exist.")
		}
		return jsonReply(http.StatusOK, struct{}{})
	}
	lifetime, err := lifetimeAsked(r.Body)
	if err != nil {
		return invalidParameter(err.Error())
	}
	made, ok := a.principals.create(name, s.clock(), lifetime, s.SecretDelay)
	if !ok {
		return apiError(http.StatusBadRequest, "RESOURCE_LIMIT_EXCEEDED", fmt.Sprintf("A service principal can have at most %d secrets.", maxSecrets))
	}
	body := made.document(s.clock())
	body["secret"] = made.Value
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

// document is what the API shows of a secret at any time.
func (s Secret) document(now time.Time) map[string]any {
	status := "ACTIVE"
	if !now.Before(s.Expire) {
		status = "EXPIRED"
	}
	return map[string]any{
		"id": s.ID, "secret_hash": fmt.Sprintf("%x", sha256.Sum256([]byte(s.Value))), "status": status,
		"create_time": timestamp(s.Created), "update_time": timestamp(s.Created), "expire_time": timestamp(s.Expire),
	}
}

// listSecrets returns one page. Its token is where the next one begins.
func listSecrets(r *http.Request, s Settings, all []Secret) reply {
	size, from := secretPage, 0
	for name, into := range map[string]*int{"page_size": &size, "page_token": &from} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return invalidParameter("'" + name + "' is not valid")
		}
		*into = n
	}
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
