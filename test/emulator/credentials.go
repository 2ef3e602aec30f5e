package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bounds of ttl and expire_time (databricks-sdk-go service/postgres).
const (
	minTTL = 300 * time.Second
	maxTTL = 3600 * time.Second
)

// credentials is POST /api/2.0/postgres/credentials.
func (a *api) credentials(r *http.Request, s Settings, who string) reply {
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
	if _, ok := a.catalog.get(in.Endpoint); !ok || depth(in.Endpoint) != 3 {
		return a.notFound("endpoint")
	}
	expires := now.Add(lifeOr(life, lifeOr(s.DatabaseTokenLife, time.Hour)))
	token, err := a.sign.mint(ticket{kind: DatabaseToken, subject: who, endpoint: in.Endpoint, issued: now, expires: expires})
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
	user := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"},
		"id":      a.principals.scimID(who), "userName": who, "displayName": "local-lakebase", "active": true,
	}
	if a.principals.isUser(who) {
		user["displayName"], _, _ = strings.Cut(who, "@")
		user["emails"] = []map[string]any{{"value": who, "type": "work", "primary": true}}
	}
	return jsonReply(http.StatusOK, user)
}
