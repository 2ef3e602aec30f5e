package emulator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// catalog lists the endpoints that exist, by full name
// (projects/P/branches/B/endpoints/E); projects and branches follow from them.
type catalog []string

// label is the part of a real endpoint's host name before the first dot.
func label(endpoint string) string {
	return fmt.Sprintf("ep-local-%x", sha256.Sum256([]byte(endpoint)))[:20]
}

// The bounds of ttl and expire_time (databricks-sdk-go service/postgres).
const (
	minTTL = 300 * time.Second
	maxTTL = 3600 * time.Second
)

// credentials is POST /api/2.0/postgres/credentials.
func (a *api) credentials(r *http.Request, s Switches, who string) reply {
	var in struct {
		Endpoint   string `json:"endpoint"`
		TTL        string `json:"ttl"`
		ExpireTime string `json:"expire_time"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return apiError(http.StatusBadRequest, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request")
	}
	if in.Endpoint == "" {
		return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", `Field 'endpoint' is required, expected non-default value (not "")!`)
	}
	now := s.clock()
	life, err := lifeAsked(in.TTL, in.ExpireTime, now)
	if err != nil {
		return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", err.Error())
	}
	if !slices.Contains(a.catalog, in.Endpoint) {
		return a.notFound("endpoint")
	}
	expires := now.Add(lifeOr(life, lifeOr(s.DatabaseTokenLife, time.Hour)))
	token, err := a.sign.mint(DatabaseToken, who, now, expires)
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", "token could not be signed")
	}
	body := map[string]string{"token": token}
	if s.ExpireTime != Missing {
		body["expire_time"] = expires.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	}
	return jsonReply(http.StatusOK, body)
}

// lifeAsked reads ttl ("900s") or expire_time; 0 when neither is set.
func lifeAsked(ttl, expireTime string, now time.Time) (time.Duration, error) {
	var life time.Duration
	switch {
	case ttl == "" && expireTime == "":
		return 0, nil
	case ttl != "" && expireTime != "":
		return 0, fmt.Errorf("only one of 'ttl' and 'expire_time' may be set")
	case ttl != "":
		digits, ok := strings.CutSuffix(ttl, "s")
		seconds, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("'ttl' is no duration: %q", ttl)
		}
		life = time.Duration(seconds * float64(time.Second))
	default:
		at, err := time.Parse(time.RFC3339Nano, expireTime)
		if err != nil {
			return 0, fmt.Errorf("'expire_time' is no time: %q", expireTime)
		}
		life = at.Sub(now)
	}
	if life < minTTL || life > maxTTL {
		return 0, fmt.Errorf("the token's life must be between %v and %v", minTTL, maxTTL)
	}
	return life, nil
}

func (a *api) notFound(what string) reply {
	return apiError(http.StatusNotFound, "NOT_FOUND", what+" id not found [TraceId: "+a.traceID()+"]")
}

// me is the SCIM user of the caller: a service principal's user name is its client id.
func (a *api) me(who string) reply {
	return jsonReply(http.StatusOK, map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"},
		"id":      a.people.scimID(who), "userName": who, "displayName": "local-lakebase", "active": true,
	})
}

// resource answers a GET by name or of a list. Names alternate between a
// collection and an id, so that an odd count of parts is a list.
func (a *api) resource(name string, s Switches) reply {
	parts := strings.Split(name, "/")
	kinds := []string{"projects", "branches", "endpoints"}
	depth := (len(parts) + 1) / 2
	if depth > len(kinds) {
		return a.notFound("resource")
	}
	for i := 0; i < len(parts); i += 2 {
		if parts[i] != kinds[i/2] {
			return a.notFound("resource")
		}
	}
	if len(parts)%2 == 0 {
		if !slices.Contains(a.catalog.names(len(parts)), name) {
			return a.notFound(strings.TrimSuffix(strings.TrimSuffix(kinds[depth-1], "s"), "e"))
		}
		return jsonReply(http.StatusOK, a.describe(name, s))
	}
	parent := strings.Join(parts[:len(parts)-1], "/")
	if parent != "" && !slices.Contains(a.catalog.names(len(parts)-1), parent) {
		return a.notFound("parent")
	}
	items := []any{}
	for _, n := range a.catalog.names(len(parts) + 1) {
		if parent == "" || strings.HasPrefix(n, parent+"/") {
			items = append(items, a.describe(n, s))
		}
	}
	return jsonReply(http.StatusOK, map[string]any{kinds[depth-1]: items, "next_page_token": ""})
}

// names lists the distinct names of n parts, in order.
func (c catalog) names(n int) []string {
	var out []string
	for _, endpoint := range c {
		parts := strings.Split(endpoint, "/")
		if name := strings.Join(parts[:min(n, len(parts))], "/"); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// describe is the resource's own document: status without spec, as a GET gives it.
func (a *api) describe(name string, s Switches) map[string]any {
	parts := strings.Split(name, "/")
	id := parts[len(parts)-1]
	parent := strings.Join(parts[:len(parts)-2], "/")
	switch len(parts) {
	case 2:
		return map[string]any{"name": name, "project_id": id, "uid": uidOf(name), "status": map[string]any{
			"display_name": id, "default_branch": name + "/branches/production", "pg_version": 17, "enable_pg_native_login": false}}
	case 4:
		return map[string]any{"name": name, "branch_id": id, "parent": parent, "uid": uidOf(name),
			"status": map[string]any{"default": id == "production", "current_state": "READY"}}
	}
	hosts := map[string]string{"host": s.host()}
	if h := s.readOnlyHost(); h != "" {
		hosts["read_only_host"] = h
	}
	status := map[string]any{
		"endpoint_type": "ENDPOINT_TYPE_READ_WRITE", "current_state": "ACTIVE", "disabled": s.EndpointDisabled,
		"suspend_timeout_duration": "300s", "hosts": hosts,
	}
	switch a.awake() {
	case Suspended:
		status["current_state"] = "IDLE"
	case Waking:
		status["current_state"], status["pending_state"] = "IDLE", "ACTIVE"
	}
	return map[string]any{"name": name, "endpoint_id": id, "parent": parent, "uid": label(name), "status": status}
}

func uidOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
