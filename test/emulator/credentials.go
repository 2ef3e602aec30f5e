package emulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The bounds of ttl (databricks-sdk-go service/postgres).
const (
	minTTL = 300 * time.Second
	maxTTL = 3600 * time.Second
)

// credentials is POST /api/2.0/postgres/credentials.
func (a *api) credentials(r *http.Request, s Settings, caller string) reply {
	var in struct {
		Endpoint string `json:"endpoint"`
		TTL      string `json:"ttl"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return malformed()
	}
	if in.Endpoint == "" {
		return invalidParameter(`Field 'endpoint' is required, expected non-default value (not "")!`)
	}
	life := cmp.Or(s.DatabaseTokenLife, time.Hour)
	if in.TTL != "" {
		var err error
		if life, err = seconds(in.TTL, minTTL, maxTTL); err != nil {
			return invalidParameter("'ttl': " + err.Error())
		}
	}
	if a.find(in.Endpoint) == nil || depth(in.Endpoint) != 3 {
		return notFound("endpoint id")
	}
	return a.credential(s, claims{Subject: caller, Endpoint: in.Endpoint}, life, "expire_time")
}

// credential is the reply with a database token; expiry is the name of a field.
func (a *api) credential(s Settings, c claims, life time.Duration, expiry string) reply {
	now := s.clock()
	c.Kind = DatabaseToken
	body := map[string]string{"token": a.sign.mint(c, now, life)}
	if s.ExpireTime != Missing {
		body[expiry] = timestamp(now.Add(life))
	}
	return jsonReply(http.StatusOK, body)
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

// instanceCredentials is POST /api/2.0/database/credentials. Its tokens have no
// life to choose.
func (a *api) instanceCredentials(r *http.Request, s Settings, caller string) reply {
	var in struct {
		RequestID     string   `json:"request_id"`
		InstanceNames []string `json:"instance_names"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		return malformed()
	}
	if len(in.InstanceNames) == 0 {
		return invalidParameter("Field 'instance_names' is required, expected non-default value (not [])!")
	}
	for _, name := range in.InstanceNames {
		if !slices.Contains(a.instances, name) {
			return noInstance(name)
		}
	}
	return a.credential(s, claims{Subject: caller}, cmp.Or(s.DatabaseTokenLife, time.Hour), "expiration_time")
}

func (a *api) listInstances(_ *http.Request, s Settings, _ string) reply {
	items := []any{}
	for _, name := range a.instances {
		items = append(items, a.describeInstance(name, s))
	}
	return jsonReply(http.StatusOK, map[string]any{"database_instances": items, "next_page_token": ""})
}

func (a *api) instance(r *http.Request, s Settings, _ string) reply {
	if name := r.PathValue("name"); !slices.Contains(a.instances, name) {
		return noInstance(name)
	}
	return jsonReply(http.StatusOK, a.describeInstance(r.PathValue("name"), s))
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

func noInstance(name string) reply { return notFound("Database instance '" + name + "'") }

// data answers a request to the Data API, which takes a database token, with one row that
// names the caller.
func (a *api) data(r *http.Request, s Settings, _ string) reply {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c, err := a.sign.verify(token, DatabaseToken, s.clock())
	if err != nil {
		return apiError(http.StatusBadRequest, "BAD_REQUEST", "Provided authentication token is invalid: "+err.Error())
	}
	return jsonReply(http.StatusOK, []map[string]string{{"table": r.PathValue("schema") + "." + r.PathValue("table"), "role": c.Subject}})
}
