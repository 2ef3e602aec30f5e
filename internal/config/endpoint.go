package config

import (
	"slices"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// EndpointForm is how an Autoscaling endpoint is named (databricks-sdk-go, service/postgres).
const EndpointForm = "projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT"

// collections are the words between the ids of an endpoint's name.
var collections = []string{"projects", "branches", "endpoints"}

// endpoint validates the name of an endpoint, branch or project; the latter two are
// enough if they have one endpoint. It expands PROJECT/BRANCH/ENDPOINT to the long form.
func endpoint(s string, from Source) (string, error) {
	wrong := &Error{Name: from.String(), Problem: sanitize.Quote(s) + " is not an endpoint's name",
		Fix: "name it as " + EndpointForm + ", or as PROJECT or PROJECT/BRANCH where that leaves one choice"}
	parts := strings.Split(s, "/")
	ids := parts
	if parts[0] == collections[0] {
		ids = nil
		for i, p := range parts {
			if i%2 == 1 {
				ids = append(ids, p)
			} else if i/2 >= len(collections) || p != collections[i/2] {
				return "", wrong
			}
		}
		if len(parts)%2 == 1 {
			return "", wrong
		}
	} else if e := checkIDs(ids, from); e != nil {
		return "", e
	}
	if len(ids) > len(collections) {
		return "", wrong
	}
	var long []string
	for i, id := range ids {
		if !isLabel(id) {
			return "", wrong
		}
		long = append(long, collections[i], id)
	}
	return strings.Join(long, "/"), nil
}

// checkIDs validates a short name. A UID of the console does not identify the project
// or branch.
func checkIDs(ids []string, from Source) *Error {
	last, name := ids[len(ids)-1], strings.Join(ids, "/")
	switch {
	case slices.Contains(collections, ids[0]) || ids[0] == "instances":
		return &Error{Name: from.String(), Problem: sanitize.Quote(name) + " is not an endpoint's name", Fix: "name it as " + EndpointForm}
	case strings.HasPrefix(last, "ep-") && isUID(last) && len(ids) < 3:
		return &Error{Name: from.String(), Problem: sanitize.Quote(name) + " is an endpoint's id in host names, not its name",
			Fix: "name its project and branch too, as in PROJECT/BRANCH/" + last + "; lakebase-credential-helper endpoints lists them"}
	case strings.HasPrefix(last, "br-") && isUID(last) && len(ids) < 2:
		return &Error{Name: from.String(), Problem: sanitize.Quote(name) + " is a branch's id in the console, not its name",
			Fix: "name its project too, as in PROJECT/" + last + "; lakebase-credential-helper endpoints lists them"}
	}
	return nil
}

// SplitEndpoint returns the IDs of an endpoint's long name; missing ones are empty.
func SplitEndpoint(name string) (project, branch, endpoint string) {
	parts := append(strings.Split(name, "/"), make([]string, 6)...)
	return parts[1], parts[3], parts[5]
}

// isUID reports whether an id looks like one of those that the console's address and
// host names show: "br-" or "ep-", words, and random letters and digits ("ep-rapid-
// cherry-y12fhu7x", Databricks documentation, "Computes and endpoints"). A branch
// or endpoint may have a name of its own that looks so.
func isUID(id string) bool {
	rest, ok := strings.CutPrefix(id, "ep-")
	if !ok {
		rest, ok = strings.CutPrefix(id, "br-")
	}
	if !ok || !isLabel(id) {
		return false
	}
	return strings.Contains(rest, "-") || len(rest) >= 8 && strings.ContainsAny(rest, "0123456789")
}

// EndpointWhole reports whether the endpoint needs no lookup: its name is complete and
// without UIDs, or there is none.
func (c *Config) EndpointWhole() bool {
	_, branch, endpoint := SplitEndpoint(c.Endpoint.Value)
	return c.Endpoint.Value == "" || endpoint != "" && !isUID(branch) && !isUID(endpoint)
}
