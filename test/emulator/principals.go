package emulator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxSecrets is how many secrets a service principal may have, and defaultLifetime a
	// secret's lifetime (Databricks, "Authorize service principal access with OAuth").
	maxSecrets      = 5
	defaultLifetime = 730 * 24 * time.Hour
	// secretPage is how many secrets a page of the list holds at most: few, so that every
	// client has to turn pages.
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

// addPrincipal makes a user, or a service principal with a secret.
func (s *state) addPrincipal(name, secret string) {
	who := &principal{id: scimID(name), user: secret == ""}
	s.principals[name] = who
	if !who.user { // from is zero: a clock that is set back later does not take it away
		now := time.Now()
		s.addSecret(who, Secret{ID: newUUID(), Value: secret, Created: now, Expire: now.Add(defaultLifetime)})
	}
}

func scimID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "41" + strconv.FormatUint(uint64(binary.BigEndian.Uint32(sum[:]))<<16|1<<41, 10)
}

func (s *state) addSecret(who *principal, secret Secret) {
	who.secrets = append(who.secrets, secret)
	s.remember(secret.Value)
}

// newSecret makes a secret, or none if there are maxSecrets.
func (s *state) newSecret(who *principal, now time.Time, lifetime, delay time.Duration) (Secret, error) {
	if len(who.secrets) >= maxSecrets {
		return Secret{}, fmt.Errorf("a service principal can have at most %d secrets", maxSecrets)
	}
	secret := Secret{ID: newUUID(), Value: newSecret(), Created: now, Expire: now.Add(lifetime), from: now.Add(delay)}
	s.addSecret(who, secret)
	return secret, nil
}

func (s *state) isUser(name string) bool { return s.principals[name] != nil && s.principals[name].user }

// signsIn reports whether a secret is one of the client's, and works now.
func (s *state) signsIn(clientID, secret string, now time.Time) bool {
	who := s.principals[clientID]
	return who != nil && slices.ContainsFunc(who.secrets, func(s Secret) bool {
		return s.Value == secret && now.Before(s.Expire) && !now.Before(s.from)
	})
}

// byPAT returns the user whose personal access token this is; "" if there is none.
func (s *state) byPAT(token string) string {
	for name, who := range s.principals {
		if who.pat != "" && who.pat == token {
			return name
		}
	}
	return ""
}

// Secrets lists the secrets of ClientID that have not been deleted.
func (l *Lakebase) Secrets() []Secret {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	return slices.Clone(l.api.principals[l.ClientID].secrets)
}

// AddSecret makes another secret of ClientID, as an administrator would in the
// console.
func (l *Lakebase) AddSecret() (Secret, error) {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	return l.api.newSecret(l.api.principals[l.ClientID], l.Settings().clock(), defaultLifetime, 0)
}

// EverySecret lists each secret that ever was, each personal access token, refresh
// token and workload token (the last 10,000 at most): what must be found nowhere.
func (l *Lakebase) EverySecret() []string {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	return slices.Clone(l.api.secrets)
}

// AddUser makes one more user, with a Postgres role of the same name.
// Settings.User has them sign in. A sleeping server is started for it, and
// stays up.
func (l *Lakebase) AddUser(ctx context.Context, userName string) error {
	l.api.mu.Lock()
	l.api.addPrincipal(userName, "")
	l.api.mu.Unlock()
	if l.compute == nil {
		return nil
	}
	if err := l.compute.resume(ctx); err != nil {
		return err
	}
	return l.compute.server.createRoles(ctx, userName)
}

// AddPrincipal makes one more service principal, without a secret and without a
// Postgres role, and returns its client ID.
func (l *Lakebase) AddPrincipal() string {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	id := newUUID()
	l.api.principals[id] = &principal{id: scimID(id)}
	return id
}

// PAT is the personal access token of Lakebase.User: "dapi" and 32 hex digits.
// It is a bearer of the API, and no password.
func (l *Lakebase) PAT() string {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	who := l.api.principals[l.User]
	if who.pat == "" {
		who.pat = fmt.Sprintf("dapi%x", random(16))
		l.api.remember(who.pat)
	}
	return who.pat
}

// IssueRefresh makes a refresh token of a user, as a browser would have
// fetched it; "" is Lakebase.User. It is empty for an unknown user.
func (l *Lakebase) IssueRefresh(userName string) string {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	userName = cmp.Or(userName, l.User)
	if !l.api.isUser(userName) {
		return ""
	}
	return l.api.issueRefresh(&family{user: userName}, l.Settings())
}

// me is the SCIM user of the caller: a service principal's user name is its client ID.
func (a *api) me(_ *http.Request, _ Settings, name string) reply {
	who := a.principals[name]
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

// secretsPath is the path of the service-principal-secrets-proxy (databricks-sdk-go
// service/oauth2).
const secretsPath = "/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets"

// managedSecrets passes on the calls about a service principal's secrets, which that
// principal itself and the user, as the workspace's administrator, manage.
func (a *api) managedSecrets(h func(r *http.Request, s Settings, who *principal) reply) handler {
	return func(r *http.Request, s Settings, caller string) reply {
		if s.SecretsDenied {
			return apiError(http.StatusForbidden, "PERMISSION_DENIED", "User does not have permission to manage secrets of this service principal.")
		}
		id := r.PathValue("principal")
		for name, who := range a.principals {
			if who.id == id && !who.user && (name == caller || caller == a.user) {
				return h(r, s, who)
			}
		}
		return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Service principal "+id+" does not exist.")
	}
}

// createSecret reads {"lifetime":"63072000s"}.
func (a *api) createSecret(r *http.Request, s Settings, who *principal) reply {
	var in struct {
		Lifetime string `json:"lifetime"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return malformed()
	}
	lifetime := defaultLifetime
	if in.Lifetime != "" {
		var err error
		if lifetime, err = seconds(in.Lifetime, time.Second, defaultLifetime); err != nil {
			return invalidParameter("'lifetime': " + err.Error())
		}
	}
	made, err := a.newSecret(who, s.clock(), lifetime, s.SecretDelay)
	if err != nil {
		return apiError(http.StatusBadRequest, "RESOURCE_LIMIT_EXCEEDED", err.Error())
	}
	body := made.document(s.clock())
	body["secret"] = made.Value
	return jsonReply(http.StatusOK, body)
}

func (a *api) deleteSecret(r *http.Request, _ Settings, who *principal) reply {
	id, n := r.PathValue("secret"), len(who.secrets)
	who.secrets = slices.DeleteFunc(who.secrets, func(s Secret) bool { return s.ID == id })
	if len(who.secrets) == n {
		return apiError(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Secret "+id+" does not exist.")
	}
	return jsonReply(http.StatusOK, struct{}{})
}

func (a *api) listSecrets(r *http.Request, s Settings, who *principal) reply {
	secrets, next, err := page(r, who.secrets, secretPage)
	if err != nil {
		return invalidParameter(err.Error())
	}
	items := []any{}
	for _, one := range secrets {
		items = append(items, one.document(s.clock()))
	}
	return jsonReply(http.StatusOK, map[string]any{"secrets": items, "next_page_token": next})
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
