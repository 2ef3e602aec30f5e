package emulator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Resource is a project, a branch or an endpoint of Autoscaling.
type Resource struct {
	Name     string // projects/P, projects/P/branches/B, or projects/P/branches/B/endpoints/E
	Archived bool   // of a branch: its state alone; logins do not look at it
	Disabled bool   // of an endpoint: no login with a token for it
	ReadOnly bool   // of an endpoint: its type, and the read-only host
}

// catalog holds what exists, in the order of its making; mu guards it.
type catalog struct {
	mu    sync.Mutex
	items []Resource
}

// nameForm is what the API accepts (databricks/cli libs/testserver).
var nameForm = regexp.MustCompile(strings.ReplaceAll(`^projects/ID(/branches/ID(/endpoints/ID)?)?$`, "ID", `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`))

// kinds are the collections, by depth.
var kinds = []string{"projects", "branches", "endpoints"}

// depth is 1 for a project, 2 for a branch, 3 for an endpoint.
func depth(name string) int { return (strings.Count(name, "/") + 1) / 2 }

// parentOf is "" for a project.
func parentOf(name string) string {
	parts := strings.Split(name, "/")
	return strings.Join(parts[:len(parts)-2], "/")
}

// put adds a resource, with the parents that are missing, or replaces it.
func (c *catalog) put(r Resource) error {
	if !nameForm.MatchString(r.Name) {
		return fmt.Errorf("emulator: %q is no name of a project, a branch or an endpoint", r.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if parent := parentOf(r.Name); parent != "" {
		if above := parentOf(parent); above != "" && c.at(above) < 0 {
			c.items = append(c.items, Resource{Name: above})
		}
		if c.at(parent) < 0 {
			c.items = append(c.items, Resource{Name: parent})
		}
	}
	if i := c.at(r.Name); i >= 0 {
		c.items[i] = r
	} else {
		c.items = append(c.items, r)
	}
	return nil
}

// at is the place of a name, below 0 where there is none; mu is held.
func (c *catalog) at(name string) int {
	return slices.IndexFunc(c.items, func(r Resource) bool { return r.Name == name })
}

// remove takes a resource away, and all below it.
func (c *catalog) remove(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.items)
	c.items = slices.DeleteFunc(c.items, func(r Resource) bool { return r.Name == name || strings.HasPrefix(r.Name, name+"/") })
	return len(c.items) < n
}

func (c *catalog) get(name string) (Resource, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.at(name); i >= 0 {
		return c.items[i], true
	}
	return Resource{}, false
}

func (c *catalog) all() []Resource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.items)
}

// children lists what is right below a parent; "" is the account's projects.
func (c *catalog) children(parent string) []Resource {
	return slices.DeleteFunc(c.all(), func(r Resource) bool { return parentOf(r.Name) != parent })
}

// defaultBranch of a project is production, or where it has none the first; ""
// without branches.
func (c *catalog) defaultBranch(project string) string {
	branches := c.children(project)
	for _, b := range branches {
		if b.Name == project+"/branches/production" {
			return b.Name
		}
	}
	if len(branches) == 0 {
		return ""
	}
	return branches[0].Name
}

// closed reports whether no endpoint is left that a login could be for.
func (c *catalog) closed() bool {
	endpoints := slices.DeleteFunc(c.all(), func(r Resource) bool { return depth(r.Name) != 3 })
	return len(endpoints) > 0 && !slices.ContainsFunc(endpoints, func(r Resource) bool { return !r.Disabled })
}

// The words of the labels that the service makes up.
var (
	firstWords  = []string{"quiet", "cold", "bright", "tiny", "noisy", "royal", "young", "plain"}
	secondWords = []string{"river", "frost", "meadow", "cloud", "harbor", "field", "stone", "grove"}
)

// label is the uid of a branch ("br") or an endpoint ("ep"), which is also the
// part of its host's name before the first dot: words and eight hex digits.
func label(prefix, name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%s-%s-%s-%08x", prefix, firstWords[sum[0]%8], secondWords[sum[1]%8], binary.BigEndian.Uint32(sum[2:]))
}

func uidOf(name string) string {
	switch depth(name) {
	case 2:
		return label("br", name)
	case 3:
		return label("ep", name)
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Put adds a project, branch or endpoint, with the parents that are missing, or
// replaces it.
func (l *Lakebase) Put(r Resource) error { return l.api.catalog.put(r) }

// AddBranch adds a branch by its ids.
func (l *Lakebase) AddBranch(project, branch string) error {
	return l.Put(Resource{Name: "projects/" + project + "/branches/" + branch})
}

// AddEndpoint adds an endpoint by its ids.
func (l *Lakebase) AddEndpoint(project, branch, endpoint string) error {
	return l.Put(Resource{Name: "projects/" + project + "/branches/" + branch + "/endpoints/" + endpoint})
}

// Remove takes a project, branch or endpoint away, with all below it.
func (l *Lakebase) Remove(name string) error {
	if !l.api.catalog.remove(name) {
		return fmt.Errorf("emulator: there is no %q", name)
	}
	return nil
}

// Resources lists what exists, in the order of its making.
func (l *Lakebase) Resources() []Resource { return l.api.catalog.all() }

// UID is the service's own id of a resource: ep-… of an endpoint, br-… of a
// branch, a UUID of a project.
func UID(name string) string { return uidOf(name) }
