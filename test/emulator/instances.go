package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// States of an instance of Lakebase Provisioned (databricks-sdk-go
// service/database).
const (
	Available   InstanceState = "AVAILABLE"
	Starting    InstanceState = "STARTING"
	Stopped     InstanceState = "STOPPED"
	Updating    InstanceState = "UPDATING"
	FailingOver InstanceState = "FAILING_OVER"
	Deleting    InstanceState = "DELETING"
)

// InstanceState is what the API says of every instance.
type InstanceState string

// InstanceStates lists every state.
func InstanceStates() []InstanceState {
	return []InstanceState{Available, Starting, Stopped, Updating, FailingOver, Deleting}
}

const instancesPath = "/api/2.0/database/instances"

// instanceCredentials is POST /api/2.0/database/credentials. Its tokens have no
// life to choose.
func (a *api) instanceCredentials(r *http.Request, s Settings, who string) reply {
	var in struct {
		RequestID     string   `json:"request_id"`
		InstanceNames []string `json:"instance_names"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return apiError(http.StatusBadRequest, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request")
	}
	if len(in.InstanceNames) == 0 {
		return apiError(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Field 'instance_names' is required, expected non-default value (not [])!")
	}
	for _, name := range in.InstanceNames {
		if !slices.Contains(a.instances, name) {
			return a.noInstance(name)
		}
	}
	now := s.clock()
	expires := now.Add(lifeOr(s.DatabaseTokenLife, time.Hour))
	token, err := a.sign.mint(ticket{kind: DatabaseToken, subject: who, issued: now, expires: expires})
	if err != nil {
		return apiError(http.StatusInternalServerError, "INTERNAL_ERROR", "token could not be signed")
	}
	body := map[string]string{"token": token}
	if s.ExpireTime != Missing {
		body["expiration_time"] = expires.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	}
	return jsonReply(http.StatusOK, body)
}

// instance is GET /api/2.0/database/instances, the list, or one by name.
func (a *api) instance(path string, s Settings) reply {
	name := strings.TrimPrefix(strings.TrimPrefix(path, instancesPath), "/")
	if name != "" {
		if !slices.Contains(a.instances, name) {
			return a.noInstance(name)
		}
		return jsonReply(http.StatusOK, a.describeInstance(name, s))
	}
	items := []any{}
	for _, n := range a.instances {
		items = append(items, a.describeInstance(n, s))
	}
	return jsonReply(http.StatusOK, map[string]any{"database_instances": items, "next_page_token": ""})
}

func (a *api) noInstance(name string) reply {
	return apiError(http.StatusNotFound, "NOT_FOUND", "Database instance '"+name+"' not found. [TraceId: "+a.traceID()+"]")
}

func (a *api) describeInstance(name string, s Settings) map[string]any {
	state := s.InstanceState
	if state == "" {
		state = Available
		if a.awake() != Up {
			state = Starting
		}
	}
	out := map[string]any{"name": name, "uid": uidOf("instances/" + name), "state": state, "pg_version": "PG_VERSION_16",
		"capacity": "CU_1", "effective_stopped": state == Stopped, "read_write_dns": s.host()}
	if h := s.readOnlyHost(); h != "" {
		out["read_only_dns"] = h
	}
	return out
}
