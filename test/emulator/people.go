package emulator

import (
	"context"
	"crypto/subtle"
)

// defaultPerson signs in where Options.Person names nobody.
const defaultPerson = "ada@example.com"

// Person is somebody who signs in at a browser.
type Person struct {
	UserName string // "" is ada@example.com
}

// enterPerson makes a person, who has no secret.
func (p *principals) enterPerson(userName string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(userName).person = true
}

func (p *principals) isPerson(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[name]
	return who != nil && who.person
}

// remember keeps a secret that must be found nowhere.
func (p *principals) remember(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.values = appendBounded(p.values, value)
}

// patOf gives the person's personal access token, made when first asked for.
func (p *principals) patOf(userName string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.byName[userName]
	if who == nil || !who.person {
		return ""
	}
	if who.pat == "" {
		who.pat = newPAT()
		p.values = appendBounded(p.values, who.pat)
	}
	return who.pat
}

// byPAT names the person whose personal access token this is.
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

// AddPerson makes one more person, with a Postgres role of the same name.
// Switches.Person has them sign in. A sleeping server is started for it, and
// stays up.
func (l *Lakebase) AddPerson(ctx context.Context, userName string) error {
	l.people.enterPerson(userName)
	if l.compute == nil {
		return nil
	}
	if err := l.compute.rouse(ctx); err != nil {
		return err
	}
	return l.compute.server.createRoles(ctx, userName)
}

// PAT is the personal access token of Lakebase.Person: "dapi" and 32 hex digits.
// It is a bearer of the API, and no password.
func (l *Lakebase) PAT() string { return l.people.patOf(l.Person) }

// IssueRefresh makes a refresh token of a person, as a browser would have
// fetched it; "" is Lakebase.Person. It is empty for somebody unknown.
func (l *Lakebase) IssueRefresh(userName string) string {
	userName = orDefault(userName, l.Person)
	if !l.people.isPerson(userName) {
		return ""
	}
	return l.api.sessions.begin(userName, l.Switches())
}
