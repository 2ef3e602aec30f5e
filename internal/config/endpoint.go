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
	wrong := invalid(from, "name it as "+EndpointForm+", or as PROJECT or PROJECT/BRANCH where that leaves one choice", "%s is not an endpoint's name", sanitize.Quote(s))
	ids := strings.Split(s, "/")
	if slices.Contains(collections[1:], ids[0]) || ids[0] == "instances" {
		return "", wrong
	}
	if ids[0] != collections[0] {
		if e := checkShortName(s, ids, from); e != nil {
			return "", e
		}
	} else {
		parts := ids
		ids = nil
		for i := 0; i < len(parts); i += 2 {
			if i/2 >= len(collections) || parts[i] != collections[i/2] || i+1 == len(parts) {
				return "", wrong
			}
			ids = append(ids, parts[i+1])
		}
	}
	var long []string
	for i, id := range ids {
		if i >= len(collections) || !isLabel(id) {
			return "", wrong
		}
		long = append(long, collections[i], id)
	}
	return strings.Join(long, "/"), nil
}

// checkShortName rejects a UID of the console, which does not identify the project or branch.
func checkShortName(name string, ids []string, from Source) *Error {
	last := ids[len(ids)-1]
	const list = "; lakebase-credential-helper endpoints lists them"
	switch {
	case strings.HasPrefix(last, "ep-") && IsUID(last) && len(ids) < 3:
		return invalid(from, "name its project and branch too, as in PROJECT/BRANCH/"+last+list, "%s is an endpoint's id in host names, not its name", sanitize.Quote(name))
	case strings.HasPrefix(last, "br-") && IsUID(last) && len(ids) < 2:
		return invalid(from, "name its project too, as in PROJECT/"+last+list, "%s is a branch's id in the console, not its name", sanitize.Quote(name))
	}
	return nil
}

// SplitEndpoint returns the IDs of an endpoint's long name; missing ones are empty.
func SplitEndpoint(name string) (project, branch, endpoint string) {
	parts := append(strings.Split(name, "/"), make([]string, 6)...)
	return parts[1], parts[3], parts[5]
}

// IsUID reports whether an id looks like one of those that the console's address and
// host names show: "br-" or "ep-", words, and random letters and digits ("ep-rapid-
// cherry-y12fhu7x", Databricks documentation, "Computes and endpoints"). A branch
// or endpoint may have a name of its own that looks so.
func IsUID(id string) bool {
	prefix, rest, _ := strings.Cut(id, "-")
	if prefix != "ep" && prefix != "br" || !isLabel(id) {
		return false
	}
	return strings.Contains(rest, "-") || len(rest) >= 8 && strings.ContainsAny(rest, "0123456789")
}

// EndpointWhole reports whether the endpoint needs no lookup: its name is complete and
// without UIDs, or there is none.
func (c *Config) EndpointWhole() bool {
	_, branch, endpoint := SplitEndpoint(c.Endpoint.Value)
	return c.Endpoint.Value == "" || endpoint != "" && !IsUID(branch) && !IsUID(endpoint)
}
