package emulator

import (
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
// a person.
type principal struct {
	id      string // SCIM's
	secrets []spSecret
	person  bool
	pat     string // a person's; "" until one is asked for
}

// principals are the service principals by client id, and the people by user name.
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

// check says whether one of the client's secrets is this one, and works now.
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

// list gives the client's secrets.
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
	if who == nil || who.person || len(who.secrets) >= maxSecrets {
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
	for _, s := range l.people.list(l.ClientID) {
		out = append(out, Secret{s.id, s.value, s.created, s.expire})
	}
	return out
}

// AddSecret makes one more secret of ClientID, as somebody else would in the
// console.
func (l *Lakebase) AddSecret() (Secret, error) {
	now := l.Switches().clock()
	s, ok := l.people.create(l.ClientID, now, defaultLifetime, 0)
	if !ok {
		return Secret{}, fmt.Errorf("emulator: there are %d secrets", maxSecrets)
	}
	return Secret{s.id, s.value, s.created, s.expire}, nil
}

// DeleteSecret deletes a secret of ClientID.
func (l *Lakebase) DeleteSecret(id string) error {
	if !l.people.remove(l.ClientID, id) {
		return fmt.Errorf("emulator: there is no secret %q", id)
	}
	return nil
}

// SignsIn says whether the secret would be given a workspace token now.
func (l *Lakebase) SignsIn(secret string) bool {
	s := l.Switches()
	return !s.SecretRevoked && l.people.check(l.ClientID, secret, s.clock())
}

// EverySecret lists each secret that ever was, of every service principal, each
// personal access token, refresh token and workload token (the last 10,000 at
// most): what must be found nowhere.
func (l *Lakebase) EverySecret() []string {
	l.people.mu.Lock()
	defer l.people.mu.Unlock()
	return slices.Clone(l.people.values)
}
