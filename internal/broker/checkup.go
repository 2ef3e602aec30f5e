package broker

import (
	"context"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/exchange"
	"github.com/lakebase-exec/lakebase-exec/internal/pglogin"
)

// Part is a part of the road that a Checkup looks at by itself.
type Part string

// The parts, in the order of the road.
const (
	PartSecret     Part = "secret"        // or the login, or what else the way in starts from
	PartWorkspace  Part = "workspace"     // its name, TLS and certificate
	PartClock      Part = "clock"         // ours against the workspace's
	PartSignIn     Part = "sign-in"       // the workspace token
	PartIdentity   Part = "identity"      // who that token belongs to
	PartTarget     Part = "target"        // what the name means, and its state
	PartHost       Part = "database host" // the target's against the configured one
	PartDatabase   Part = "database"      // the host's name, TLS and certificate
	PartCredential Part = "credential"    // the database token
	PartLogin      Part = "login"
)

// Status is how a part was found.
type Status string

// The statuses.
const (
	StatusOK       Status = "ok"
	StatusWarning  Status = "warning"
	StatusFailed   Status = "failed"
	StatusNotTried Status = "not tried"
)

// Finding is what was found of one part.
type Finding struct {
	Part   Part
	Status Status
	Err    error // of a failed one, and of a warning
	Needs  Part  // of one that was not tried: what is in its way
}

// Seen is what the walk came to know. What a part would have told is zero where
// it failed or was not tried. It holds no secret.
type Seen struct {
	Config         config.Config // with what was found out on the way: who signs in, and how
	Skew           time.Duration // how far the workspace's clock is ahead of ours
	Workspace      pglogin.Peer
	TokenEnds      time.Time // of the workspace token
	Me             exchange.Identity
	Endpoint       exchange.Endpoint
	Branch         exchange.Branch // of an endpoint, where it could be asked for
	Host           string          // where a run would log in
	Database       pglogin.Peer
	CredentialEnds time.Time
	LoginTook      time.Duration
	Person         string // whose login is stored, where a person of the keychain's signs in
}

// Checkup walks the road for who wants to know where it ends. It goes by no
// cache, stops at nothing that the next part can do without, and leaves nothing
// behind; only a refresh token that the workspace replaces is stored, as the old
// one is dead then.
type Checkup struct {
	*Broker // its Cache without a store, its Secrets without dialogs

	Clock func(ctx context.Context) (skew time.Duration, err error)                  // one attempt
	Look  func(ctx context.Context) pglogin.Peer                                     // at the workspace's certificate; zero: it cannot be seen
	Probe func(ctx context.Context, t pglogin.Target) (peer pglogin.Peer, err error) // of the database, until ctx ends

	findings []Finding
	status   map[Part]Status
	blocked  map[Part]Part
	seen     Seen

	secret   credential.Secret
	bearer   credential.Secret
	password credential.Secret
	clockErr error
	found    bool // seen.Endpoint is what the workspace has told
}

// maxLook bounds what is asked of a workspace before anybody signs in: --timeout
// is long, for one that is busy.
const maxLook = 15 * time.Second

// How far the clocks may be apart. A token's life is counted from both clocks,
// with 5 minutes as the shortest one; past that a fresh one may seem to have ended.
const (
	skewWarns = time.Minute
	skewFails = 5 * time.Minute
)

// Walk looks at every part. blocked names those that are not to be tried, and
// what is in their way.
func (c *Checkup) Walk(ctx context.Context, blocked map[Part]Part) ([]Finding, Seen) {
	c.status, c.blocked = map[Part]Status{}, blocked
	c.part(ctx, PartSecret, c.checkSecret)
	c.part(ctx, PartWorkspace, c.checkWorkspace)
	c.part(ctx, PartClock, c.checkClock, PartWorkspace)
	c.part(ctx, PartSignIn, c.checkSignIn, PartSecret, PartWorkspace)
	c.part(ctx, PartIdentity, c.checkIdentity, PartSignIn)
	c.part(ctx, PartTarget, c.checkTarget, PartSignIn)
	c.part(ctx, PartHost, c.checkHost, c.hostNeeds()...)
	c.part(ctx, PartDatabase, c.checkDatabase, PartHost)
	c.part(ctx, PartCredential, c.checkCredential, c.hostNeeds()...)
	c.part(ctx, PartLogin, c.checkLogin, c.loginNeeds()...)
	c.seen.Config, c.seen.Person = c.Config, c.person
	return c.findings, c.seen
}

// part looks at one part, unless one that it needs has failed.
func (c *Checkup) part(ctx context.Context, p Part, check func(context.Context) (Status, error), needs ...Part) {
	f := Finding{Part: p}
	if by, ok := c.blocked[p]; ok {
		f.Status, f.Needs = StatusNotTried, by
	}
	for _, n := range needs {
		if s := c.status[n]; f.Status == "" && (s == StatusFailed || s == StatusNotTried) {
			f.Status, f.Needs = StatusNotTried, n
		}
	}
	if f.Status == "" {
		f.Status, f.Err = check(ctx)
	}
	c.status[p] = f.Status
	c.findings = append(c.findings, f)
}

// hostNeeds: a run with a host that is trusted does not ask for the target, so
// that it works for who may not look at it; a target that cannot be logged in to
// ends the road all the same.
func (c *Checkup) hostNeeds() []Part {
	if c.status[PartTarget] == StatusFailed && !c.found && c.Config.PGHostTrusted() && c.Config.EndpointWhole() {
		return []Part{PartSignIn}
	}
	return []Part{PartTarget}
}

func (c *Checkup) loginNeeds() []Part {
	if c.Config.User.Value == "" {
		return []Part{PartDatabase, PartCredential, PartIdentity}
	}
	return []Part{PartDatabase, PartCredential}
}

func outcome(err error) (Status, error) {
	if err != nil {
		return StatusFailed, err
	}
	return StatusOK, nil
}
