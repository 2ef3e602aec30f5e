package emulator

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// resourcesPath begins the path of every resource (databricks-sdk-go
// service/postgres).
const resourcesPath = "/api/2.0/postgres/"

// maxPage is the most that a client may ask a page to hold.
const maxPage = 100

// resourceCall tells a list from a thing by its name: names alternate between a
// collection and an id, so that an odd count of parts is a list.
func resourceCall(path string) Call {
	switch strings.Count(strings.TrimPrefix(path, resourcesPath), "/") {
	case 0:
		return CallProjects
	case 2:
		return CallBranches
	case 4:
		return CallEndpoints
	}
	return CallEndpoint
}

// resource answers a GET by name or of a list.
func (a *api) resource(r *http.Request, s Settings) reply {
	name := strings.TrimPrefix(r.URL.Path, resourcesPath)
	parts := strings.Split(name, "/")
	if (len(parts)+1)/2 > len(kinds) {
		return a.notFound("resource")
	}
	for i := 0; i < len(parts); i += 2 {
		if parts[i] != kinds[i/2] {
			return a.notFound("resource")
		}
	}
	if len(parts)%2 == 1 {
		return a.listResources(r, s, strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1])
	}
	one, ok := a.catalog.get(name)
	if !ok {
		return a.notFound(map[int]string{1: "project", 2: "branch", 3: "endpoint"}[depth(name)])
	}
	return jsonReply(http.StatusOK, a.describe(one, s))
}

// listResources returns one page of what is right below parent. A page's token
// holds for its own list alone.
func (a *api) listResources(r *http.Request, s Settings, parent, kind string) reply {
	if _, ok := a.catalog.get(parent); !ok && parent != "" {
		return a.notFound("parent")
	}
	query := r.URL.Query()
	size := maxPage
	if text := query.Get("page_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxPage {
			return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", fmt.Sprintf("'page_size' is no number of 0 to %d", maxPage))
		}
		if n > 0 {
			size = n
		}
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
			return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "'page_token' is not of this list")
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

// describe is the resource's own document: status without spec, as a GET gives it.
func (a *api) describe(r Resource, s Settings) map[string]any {
	name := r.Name
	id := name[strings.LastIndexByte(name, '/')+1:]
	switch depth(name) {
	case 1:
		return map[string]any{"name": name, "project_id": id, "uid": uidOf(name), "status": map[string]any{
			"display_name": id, "default_branch": a.catalog.defaultBranch(name), "pg_version": 17, "enable_pg_native_login": false}}
	case 2:
		state := "READY"
		if r.Archived {
			state = "ARCHIVED"
		}
		parent := parentOf(name)
		return map[string]any{"name": name, "branch_id": id, "parent": parent, "uid": uidOf(name),
			"status": map[string]any{"default": a.catalog.defaultBranch(parent) == name, "current_state": state}}
	}
	return map[string]any{"name": name, "endpoint_id": id, "parent": parentOf(name), "uid": uidOf(name), "status": a.endpointStatus(r, s)}
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
	switch a.awake() {
	case Suspended:
		status["current_state"] = "IDLE"
	case Waking:
		status["current_state"], status["pending_state"] = "IDLE", "ACTIVE"
	}
	return status
}
