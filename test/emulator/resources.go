package emulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Resource is a project, a branch or an endpoint of Autoscaling.
type Resource struct {
	Name     string // projects/P, projects/P/branches/B, or projects/P/branches/B/endpoints/E
	Archived bool   // of a branch: its state alone; logins do not look at it
	Disabled bool   // of an endpoint: no login with a token for it
	ReadOnly bool   // of an endpoint: its type, and the read-only host
}

// nameForm is what the API accepts (databricks/cli libs/testserver).
var nameForm = regexp.MustCompile(strings.ReplaceAll(`^projects/ID(/branches/ID(/endpoints/ID)?)?$`, "ID", `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`))

// depth is 1 for a project, 2 for a branch, 3 for an endpoint.
func depth(name string) int { return (strings.Count(name, "/") + 1) / 2 }

// parentOf is "" for a project.
func parentOf(name string) string { return strings.TrimPrefix(path.Dir(path.Dir(name)), ".") }

// find returns the resource of a name, nil if there is none.
func (s *state) find(name string) *Resource {
	if i := slices.IndexFunc(s.resources, func(r Resource) bool { return r.Name == name }); i >= 0 {
		return &s.resources[i]
	}
	return nil
}

// children lists what is right below a parent; "" is the account's projects.
func (s *state) children(parent string) (below []Resource) {
	for _, r := range s.resources {
		if parentOf(r.Name) == parent {
			below = append(below, r)
		}
	}
	return below
}

// defaultBranch of a project is production, or the first if it has none; ""
// without branches.
func (s *state) defaultBranch(project string) string {
	if r := s.find(project + "/branches/production"); r != nil {
		return r.Name
	}
	for _, r := range s.children(project) {
		return r.Name
	}
	return ""
}

// disabled reports whether the endpoint exists and is disabled; "" are all endpoints.
func (s *state) disabled(endpoint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	endpoints := slices.DeleteFunc(slices.Clone(s.resources), func(r Resource) bool {
		return depth(r.Name) != 3 || endpoint != "" && r.Name != endpoint
	})
	return len(endpoints) > 0 && !slices.ContainsFunc(endpoints, func(r Resource) bool { return !r.Disabled })
}

// Put adds a project, branch or endpoint, with the parents that are missing, or
// replaces it.
func (l *Lakebase) Put(r Resource) error {
	if !nameForm.MatchString(r.Name) {
		return fmt.Errorf("emulator: %q is no name of a project, a branch or an endpoint", r.Name)
	}
	s := l.api.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.find(r.Name); old != nil {
		*old = r
		return nil
	}
	missing := []Resource{r}
	for name := parentOf(r.Name); name != "" && s.find(name) == nil; name = parentOf(name) {
		missing = append(missing, Resource{Name: name})
	}
	slices.Reverse(missing)
	s.resources = append(s.resources, missing...)
	return nil
}

// Remove takes a project, branch or endpoint away, with all below it.
func (l *Lakebase) Remove(name string) error {
	s := l.api.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(name) == nil {
		return fmt.Errorf("emulator: there is no %q", name)
	}
	s.resources = slices.DeleteFunc(s.resources, func(r Resource) bool { return r.Name == name || strings.HasPrefix(r.Name, name+"/") })
	return nil
}

// Resources lists what exists, in the order of its making.
func (l *Lakebase) Resources() []Resource {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	return slices.Clone(l.api.resources)
}

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

// resource answers a GET by name.
func (a *api) resource(r *http.Request, s Settings, _ string) reply {
	name := strings.TrimPrefix(r.URL.Path, resourcesPath)
	one := a.find(name)
	if one == nil {
		return notFound([]string{"project", "branch", "endpoint"}[depth(name)-1] + " id")
	}
	return jsonReply(http.StatusOK, a.describe(*one, s))
}

// listResources returns one page of what is right below a parent.
func (a *api) listResources(r *http.Request, s Settings, _ string) reply {
	dir, kind := path.Split(strings.TrimPrefix(r.URL.Path, resourcesPath))
	parent := strings.TrimSuffix(dir, "/")
	if parent != "" && a.find(parent) == nil {
		return notFound("parent id")
	}
	size := maxPage
	if s.PageSize > 0 {
		size = s.PageSize
	}
	children, next, err := page(r, a.children(parent), size)
	if err != nil {
		return invalidParameter(err.Error())
	}
	items := []any{}
	for _, one := range children {
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
		status = map[string]any{"display_name": strings.TrimPrefix(r.Name, "projects/"), "default_branch": a.defaultBranch(r.Name),
			"pg_version": 17, "enable_pg_native_login": s.NativeLogin}
	case 2:
		id = "branch_id"
		status = map[string]any{"default": a.defaultBranch(parent) == r.Name, "current_state": "READY"}
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
	hosts := map[string]string{"host": s.host(), "read_only_host": s.readOnlyHost()}
	hosts["read_write_pooled_host"], hosts["read_only_pooled_host"] = s.pooledHosts()
	maps.DeleteFunc(hosts, func(_, h string) bool { return h == "" })
	status := map[string]any{
		"endpoint_type": "ENDPOINT_TYPE_READ_WRITE", "current_state": "ACTIVE", "disabled": s.EndpointDisabled || r.Disabled,
		"suspend_timeout_duration": "300s", "hosts": hosts,
	}
	if r.ReadOnly {
		status["endpoint_type"], hosts["host"] = "ENDPOINT_TYPE_READ_ONLY", cmp.Or(s.readOnlyHost(), s.host())
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
