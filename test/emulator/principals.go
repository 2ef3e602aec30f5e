package emulator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxSecrets is how many secrets a service principal may have (Databricks,
// "Authorize service principal access with OAuth").
const maxSecrets = 5

// defaultLifetime is a secret's, where none is asked for (the same page).
const defaultLifetime = 730 * 24 * time.Hour

// secretPage is how many secrets a page of the list holds where the client does
// not say: few, so that every client has to turn pages.
const secretPage = 2

// spSecret is one secret of a service principal.
type spSecret struct {
	id, value       string
	created, expire time.Time
	from            time.Time // it is refused before
}

// principal is a service principal, its secrets in the order of their making, or
// a user.
type principal struct {
	id      string // SCIM's
	secrets []spSecret
	user    bool
	pat     string // a user's; "" until one is asked for
}

// principals are the service principals by client id, and the principals by user name.
type principals struct {
	mu     sync.Mutex
	byName map[string]*principal
	values []string // every secret that ever was
}

func (p *principals) add(clientID, secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.make(p.enter(clientID), secret, time.Now(), defaultLifetime, 0)
}

// enter makes a principal without a secret; mu is held.
func (p *principals) enter(name string) *principal {
	if p.byName == nil {
		p.byName = map[string]*principal{}
	}
	sum := sha256.Sum256([]byte(name))
	who := &principal{id: "41" + strconv.FormatUint(uint64(sum[0])<<40|uint64(sum[1])<<32|uint64(sum[2])<<24|uint64(sum[3])<<16|1<<41, 10)}
	p.byName[name] = who
	return who
}

func (p *principals) make(who *principal, value string, now time.Time, lifetime, late time.Duration) spSecret {
	s := spSecret{id: newUUID(), value: value, created: now, expire: now.Add(lifetime), from: now.Add(late)}
	if len(who.secrets) == 0 {
		s.from = time.Time{} // a clock that is set back later does not take the first one away
	}
	who.secrets = append(who.secrets, s)
	p.values = appendBounded(p.values, value)
	return s
}

func (p *principals) known(clientID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[clientID] != nil
}

// check reports whether one of the client's secrets is this one, and works now.
func (p *principals) check(clientID, secret string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[clientID]
	return who != nil && slices.ContainsFunc(who.secrets, func(s spSecret) bool {
		return subtle.ConstantTimeCompare([]byte(s.value), []byte(secret)) == 1 && now.Before(s.expire) && !now.Before(s.from)
	})
}

func (p *principals) scimID(clientID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who := p.byName[clientID]; who != nil {
		return who.id
	}
	return ""
}

// list returns the client's secrets.
func (p *principals) list(clientID string) []spSecret {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who := p.byName[clientID]; who != nil {
		return slices.Clone(who.secrets)
	}
	return nil
}

// create makes a secret, or none where there are maxSecrets.
func (p *principals) create(clientID string, now time.Time, lifetime, late time.Duration) (spSecret, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[clientID]
	if who == nil || who.user || len(who.secrets) >= maxSecrets {
		return spSecret{}, false
	}
	return p.make(who, newSecret(), now, lifetime, late), true
}

func (p *principals) remove(clientID, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[clientID]
	if who == nil {
		return false
	}
	n := len(who.secrets)
	who.secrets = slices.DeleteFunc(who.secrets, func(s spSecret) bool { return s.id == id })
	return len(who.secrets) < n
}

// Secret is a service principal's secret as the API describes it.
type Secret struct {
	ID              string
	Value           string // which the API shows once, when it is made
	Created, Expire time.Time
}

// Secrets lists the secrets of ClientID that have not been deleted.
func (l *Lakebase) Secrets() []Secret {
	var out []Secret
	for _, s := range l.principals.list(l.ClientID) {
		out = append(out, Secret{s.id, s.value, s.created, s.expire})
	}
	return out
}

// AddSecret makes another secret of ClientID, as an administrator would in the
// console.
func (l *Lakebase) AddSecret() (Secret, error) {
	now := l.Settings().clock()
	s, ok := l.principals.create(l.ClientID, now, defaultLifetime, 0)
	if !ok {
		return Secret{}, fmt.Errorf("emulator: there are %d secrets", maxSecrets)
	}
	return Secret{s.id, s.value, s.created, s.expire}, nil
}

// DeleteSecret deletes a secret of ClientID.
func (l *Lakebase) DeleteSecret(id string) error {
	if !l.principals.remove(l.ClientID, id) {
		return fmt.Errorf("emulator: there is no secret %q", id)
	}
	return nil
}

// SignsIn reports whether the secret would be given a workspace token now.
func (l *Lakebase) SignsIn(secret string) bool {
	s := l.Settings()
	return !s.SecretRevoked && l.principals.check(l.ClientID, secret, s.clock())
}

// EverySecret lists each secret that ever was, of every service principal, each
// personal access token, refresh token and workload token (the last 10,000 at
// most): what must be found nowhere.
func (l *Lakebase) EverySecret() []string {
	l.principals.mu.Lock()
	defer l.principals.mu.Unlock()
	return slices.Clone(l.principals.values)
}

// defaultUser signs in if Options.User is empty.
const defaultUser = "ada@example.com"

// User signs in with a browser.
type User struct {
	UserName string // "" is ada@example.com
}

// addUser makes a user, who has no secret.
func (p *principals) addUser(userName string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(userName).user = true
}

func (p *principals) isUser(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[name]
	return who != nil && who.user
}

// remember keeps a secret that must be found nowhere.
func (p *principals) remember(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = appendBounded(p.values, value)
}

// patOf returns the user's personal access token, made when first asked for.
func (p *principals) patOf(userName string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[userName]
	if who == nil || !who.user {
		return ""
	}
	if who.pat == "" {
		who.pat = newPAT()
		p.values = appendBounded(p.values, who.pat)
	}
	return who.pat
}

// byPAT names the user whose personal access token this is.
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

// AddUser makes one more user, with a Postgres role of the same name.
// Settings.User has them sign in. A sleeping server is started for it, and
// stays up.
func (l *Lakebase) AddUser(ctx context.Context, userName string) error {
	l.principals.addUser(userName)
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
func (l *Lakebase) PAT() string { return l.principals.patOf(l.User) }

// IssueRefresh makes a refresh token of a user, as a browser would have
// fetched it; "" is Lakebase.User. It is empty for an unknown user.
func (l *Lakebase) IssueRefresh(userName string) string {
	userName = orDefault(userName, l.User)
	if !l.principals.isUser(userName) {
		return ""
	}
	return l.api.sessions.begin(userName, l.Settings())
}
