package emulator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
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

// catalog holds what exists, in the order of its making.
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
	if i := c.index(r.Name); i >= 0 {
		c.items[i] = r
		return nil
	}
	missing := []Resource{r}
	for name := parentOf(r.Name); name != "" && c.index(name) < 0; name = parentOf(name) {
		missing = append(missing, Resource{Name: name})
	}
	slices.Reverse(missing)
	c.items = append(c.items, missing...)
	return nil
}

// index returns where a name is, below 0 if it does not exist; mu is held.
func (c *catalog) index(name string) int {
	return slices.IndexFunc(c.items, func(r Resource) bool { return r.Name == name })
}

func (c *catalog) get(name string) (Resource, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(name); i >= 0 {
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

// defaultBranch of a project is production, or the first if it has none; ""
// without branches.
func (c *catalog) defaultBranch(project string) string {
	branches := c.children(project)
	if len(branches) == 0 {
		return ""
	}
	if name := project + "/branches/production"; slices.ContainsFunc(branches, func(b Resource) bool { return b.Name == name }) {
		return name
	}
	return branches[0].Name
}

// closed reports whether all endpoints are disabled.
func (c *catalog) closed() bool {
	endpoints := slices.DeleteFunc(c.all(), func(r Resource) bool { return depth(r.Name) != 3 })
	return len(endpoints) > 0 && !slices.ContainsFunc(endpoints, func(r Resource) bool { return !r.Disabled })
}

// Put adds a project, branch or endpoint, with the parents that are missing, or
// replaces it.
func (l *Lakebase) Put(r Resource) error { return l.api.catalog.put(r) }

// Remove takes a project, branch or endpoint away, with all below it.
func (l *Lakebase) Remove(name string) error {
	c := l.api.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.items)
	c.items = slices.DeleteFunc(c.items, func(r Resource) bool { return r.Name == name || strings.HasPrefix(r.Name, name+"/") })
	if len(c.items) == n {
		return fmt.Errorf("emulator: there is no %q", name)
	}
	return nil
}

// Resources lists what exists, in the order of its making.
func (l *Lakebase) Resources() []Resource { return l.api.catalog.all() }

// The words of the labels that the service makes up.
var (
	firstWords  = []string{"quiet", "cold", "bright", "tiny", "noisy", "royal", "young", "plain"}
	secondWords = []string{"river", "frost", "meadow", "cloud", "harbor", "field", "stone", "grove"}
)

// UID is the service's own ID of a resource: ep-… of an endpoint, which is also the first
// label of its host's name, br-… of a branch, a UUID of a project.
func UID(name string) string {
	sum := sha256.Sum256([]byte(name))
	if d := depth(name); d == 2 || d == 3 {
		return fmt.Sprintf("%s-%s-%s-%08x", []string{"br", "ep"}[d-2], firstWords[sum[0]%8], secondWords[sum[1]%8], binary.BigEndian.Uint32(sum[2:]))
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// resourcesPath begins the path of every resource (databricks-sdk-go
// service/postgres).
const resourcesPath = "/api/2.0/postgres/"

// maxPage is the most that a client may ask a page to hold.
const maxPage = 100

// resourceCall tells a list from one resource: names alternate between a
// collection and an ID, so that an odd count of parts is a list.
func resourceCall(path string) Call {
	n := strings.Count(strings.TrimPrefix(path, resourcesPath), "/")
	if call, ok := map[int]Call{0: CallProjects, 2: CallBranches, 4: CallEndpoints}[n]; ok {
		return call
	}
	return CallEndpoint
}

// resource answers a GET by name or of a list.
func (a *api) resource(r *http.Request, s Settings) reply {
	name := strings.TrimPrefix(r.URL.Path, resourcesPath)
	parts := strings.Split(name, "/")
	for i := 0; i < len(parts); i += 2 {
		if i/2 >= len(kinds) || parts[i] != kinds[i/2] {
			return notFound("resource")
		}
	}
	if len(parts)%2 == 1 {
		return a.listResources(r, s, strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1])
	}
	one, ok := a.catalog.get(name)
	if !ok {
		return notFound([]string{"project", "branch", "endpoint"}[depth(name)-1])
	}
	return jsonReply(http.StatusOK, a.describe(one, s))
}

// listResources returns one page of what is right below parent. A page's token
// holds for its own list alone.
func (a *api) listResources(r *http.Request, s Settings, parent, kind string) reply {
	if _, ok := a.catalog.get(parent); !ok && parent != "" {
		return notFound("parent")
	}
	query := r.URL.Query()
	size, err := strconv.Atoi(orDefault(query.Get("page_size"), "0"))
	if err != nil || size < 0 || size > maxPage {
		return invalidParameter(fmt.Sprintf("'page_size' is no number of 0 to %d", maxPage))
	}
	if size == 0 {
		size = maxPage
	}
	if s.PageSize > 0 {
		size = min(size, s.PageSize)
	}
	all := a.catalog.children(parent)
	mark := fmt.Sprintf("%x-", sha256.Sum256([]byte(r.URL.Path)))[56:]
	from := 0
	if token := query.Get("page_token"); token != "" {
		digits, ok := strings.CutPrefix(token, mark)
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n <= 0 {
			return invalidParameter("'page_token' is not of this list")
		}
		from = min(n, len(all))
	}
	to, next := min(from+size, len(all)), ""
	if to < len(all) {
		next = mark + strconv.Itoa(to)
	}
	items := []any{}
	for _, one := range all[from:to] {
		items = append(items, a.describe(one, s))
	}
	return jsonReply(http.StatusOK, map[string]any{kind: items, "next_page_token": next})
}

// describe is the resource's own document: status without spec, as a GET returns it.
func (a *api) describe(r Resource, s Settings) map[string]any {
	parent := parentOf(r.Name)
	out := map[string]any{"name": r.Name, "uid": UID(r.Name)}
	id, status := "endpoint_id", map[string]any(nil)
	switch depth(r.Name) {
	case 1:
		id = "project_id"
		status = map[string]any{"display_name": strings.TrimPrefix(r.Name, "projects/"), "default_branch": a.catalog.defaultBranch(r.Name),
			"pg_version": 17, "enable_pg_native_login": false}
	case 2:
		id = "branch_id"
		status = map[string]any{"default": a.catalog.defaultBranch(parent) == r.Name, "current_state": "READY"}
		if r.Archived {
			status["current_state"] = "ARCHIVED"
		}
	default:
		status = a.endpointStatus(r, s)
	}
	if parent != "" {
		out["parent"] = parent
	}
	out[id], out["status"] = r.Name[strings.LastIndexByte(r.Name, '/')+1:], status
	return out
}

func (a *api) endpointStatus(r Resource, s Settings) map[string]any {
	hosts := map[string]string{"host": s.host()}
	if h := s.readOnlyHost(); h != "" {
		hosts["read_only_host"] = h
	}
	status := map[string]any{
		"endpoint_type": "ENDPOINT_TYPE_READ_WRITE", "current_state": "ACTIVE", "disabled": s.EndpointDisabled || r.Disabled,
		"suspend_timeout_duration": "300s", "hosts": hosts,
	}
	if r.ReadOnly {
		status["endpoint_type"], hosts["host"] = "ENDPOINT_TYPE_READ_ONLY", orDefault(s.readOnlyHost(), s.host())
		delete(hosts, "read_only_host")
	}
	if state := a.awake(); state != Up {
		status["current_state"] = "IDLE"
		if state == Waking {
			status["pending_state"] = "ACTIVE"
		}
	}
	return status
}
