package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of ttl (databricks-sdk-go service/postgres).
const (
	minTTL = 300 * time.Second
	maxTTL = 3600 * time.Second
)

// credentials is POST /api/2.0/postgres/credentials.
func (a *api) credentials(r *http.Request, s Settings, who string) reply {
	var in struct {
		Endpoint string `json:"endpoint"`
		TTL      string `json:"ttl"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return apiError(http.StatusBadRequest, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request")
	}
	if in.Endpoint == "" {
		return invalidParameter(`Field 'endpoint' is required, expected non-default value (not "")!`)
	}
	life, err := lifeAsked(in.TTL)
	if err != nil {
		return invalidParameter(err.Error())
	}
	if _, ok := a.catalog.get(in.Endpoint); !ok || depth(in.Endpoint) != 3 {
		return notFound("endpoint")
	}
	return a.credential(s, ticket{subject: who, endpoint: in.Endpoint}, life, "expire_time")
}

// credential is the reply with a database token; expiry is the name of a field.
func (a *api) credential(s Settings, t ticket, life time.Duration, expiry string) reply {
	now := s.clock()
	t.kind, t.issued, t.expires = DatabaseToken, now, now.Add(lifeOr(life, lifeOr(s.DatabaseTokenLife, time.Hour)))
	body := map[string]string{"token": a.sign.mint(t)}
	if s.ExpireTime != Missing {
		body[expiry] = timestamp(t.expires)
	}
	return jsonReply(http.StatusOK, body)
}

// lifeAsked reads ttl ("900s"); 0 when it is not set.
func lifeAsked(ttl string) (life time.Duration, err error) {
	if ttl == "" {
		return 0, nil
	}
	digits, ok := strings.CutSuffix(ttl, "s")
	seconds, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("'ttl' is no duration: %q", ttl)
	}
	if life = time.Duration(seconds * float64(time.Second)); life < minTTL || life > maxTTL {
		return 0, fmt.Errorf("the token's life must be between %v and %v", minTTL, maxTTL)
	}
	return life, nil
}

// InstanceState is what the API says of every instance.
type InstanceState string

// States of an instance of Lakebase Provisioned; databricks-sdk-go service/database has
// more.
const (
	Available InstanceState = "AVAILABLE"
	Starting  InstanceState = "STARTING"
	Stopped   InstanceState = "STOPPED"
)

const instancesPath = "/api/2.0/database/instances"

// instanceCredentials is POST /api/2.0/database/credentials. Its tokens have no
// life to choose.
func (a *api) instanceCredentials(r *http.Request, s Settings, who string) reply {
	var in struct {
		RequestID     string   `json:"request_id"`
		InstanceNames []string `json:"instance_names"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return apiError(http.StatusBadRequest, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request")
	}
	if len(in.InstanceNames) == 0 {
		return invalidParameter("Field 'instance_names' is required, expected non-default value (not [])!")
	}
	for _, name := range in.InstanceNames {
		if !slices.Contains(a.instances, name) {
			return noInstance(name)
		}
	}
	return a.credential(s, ticket{subject: who}, 0, "expiration_time")
}

// instance is GET /api/2.0/database/instances, the list, or one by name.
func (a *api) instance(path string, s Settings) reply {
	name := strings.TrimPrefix(strings.TrimPrefix(path, instancesPath), "/")
	if slices.Contains(a.instances, name) {
		return jsonReply(http.StatusOK, a.describeInstance(name, s))
	}
	if name != "" {
		return noInstance(name)
	}
	items := []any{}
	for _, n := range a.instances {
		items = append(items, a.describeInstance(n, s))
	}
	return jsonReply(http.StatusOK, map[string]any{"database_instances": items, "next_page_token": ""})
}

func (a *api) describeInstance(name string, s Settings) map[string]any {
	state := s.InstanceState
	if state == "" {
		state = Available
		if a.awake() != Up {
			state = Starting
		}
	}
	out := map[string]any{"name": name, "uid": UID(name), "state": state, "pg_version": "PG_VERSION_16",
		"capacity": "CU_1", "effective_stopped": state == Stopped, "read_write_dns": s.host()}
	if h := s.readOnlyHost(); h != "" {
		out["read_only_dns"] = h
	}
	return out
}

func noInstance(name string) reply {
	return apiError(http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("Database instance '%s' not found. [TraceId: %x]", name, random(16)))
}

func notFound(what string) reply {
	return apiError(http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("%s id not found [TraceId: %x]", what, random(16)))
}
