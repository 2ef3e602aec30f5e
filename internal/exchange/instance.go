package exchange

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// The paths of Lakebase Provisioned (databricks-sdk-go service/database).
const (
	instancesPath           = "/api/2.0/database/instances/"
	instanceCredentialsPath = "/api/2.0/database/credentials"
)

// States of an instance that keep it from being used, or from being used yet.
// AVAILABLE and UPDATING need no word.
const (
	stateStarting    = "STARTING"
	stateStopped     = "STOPPED"
	stateFailingOver = "FAILING_OVER"
	stateDeleting    = "DELETING"
)

// instanceName takes the name out of a target of the form instances/NAME.
func instanceName(target string) (name string, ok bool) {
	return strings.CutPrefix(target, credential.InstancePrefix)
}

// instanceCredential is the body that asks for an instance's password. The id
// is new for each attempt.
func instanceCredential(name string) []byte {
	text, _ := json.Marshal(struct { // strings: it cannot fail
		RequestID     string   `json:"request_id"`
		InstanceNames []string `json:"instance_names"`
	}{uuid(), []string{name}})
	return text
}

// uuid is a random one (RFC 9562, version 4).
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// readInstance reads an instance as an Endpoint. Its name is not always in it.
func readInstance(body []byte) (Endpoint, *Error) {
	var w struct {
		State            string `json:"state"`
		ReadWriteDNS     string `json:"read_write_dns"`
		ReadOnlyDNS      string `json:"read_only_dns"`
		EffectiveStopped bool   `json:"effective_stopped"`
	}
	if e := decode(body, &w); e != nil {
		return Endpoint{}, e
	}
	if w.State == "" && w.ReadWriteDNS == "" {
		return Endpoint{}, &Error{Kind: KindBadReply, Message: "it has neither state nor read_write_dns"}
	}
	if w.EffectiveStopped && w.State != stateStarting && w.State != stateDeleting {
		w.State = stateStopped
	}
	return Endpoint{State: w.State, Host: w.ReadWriteDNS, ReadOnlyHost: w.ReadOnlyDNS}, nil
}

// Unusable says why no login can wake it, as an Error's Kind, or nothing. An
// instance that is starting is left to the login.
func (e Endpoint) UnusableKind() Kind {
	switch {
	case e.Disabled:
		return KindEndpointDisabled
	case e.State == stateStopped:
		return KindInstanceStopped
	case e.State == stateFailingOver:
		return KindInstanceFailingOver
	case e.State == stateDeleting:
		return KindInstanceDeleting
	}
	return ""
}

// isInstance keeps a name from leaving its place in the path.
func isInstance(name string) bool {
	return !strings.Contains(name, "/") && isSegment(name)
}
