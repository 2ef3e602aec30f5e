package config

import "strings"

// EndpointForm is how an Autoscaling endpoint is named (databricks-sdk-go, service/postgres).
const EndpointForm = "projects/PROJECT/branches/BRANCH/endpoints/ENDPOINT"

// collections are the words between the ids of an endpoint's name.
var collections = []string{"projects", "branches", "endpoints"}

// endpoint validates the name of an endpoint, branch or project; the latter two are
// enough if they have one endpoint. It expands PROJECT/BRANCH/ENDPOINT to the long form.
// A short name does not end in a UID of the console, which does not identify the project.
func endpoint(s string, from Source) (string, error) {
	wrong := rejected(s, from, "name it as "+EndpointForm+", or as PROJECT or PROJECT/BRANCH where that leaves one choice",
		"is not an endpoint's name")
	parts := strings.Split(s, "/")
	first, last := parts[0], parts[len(parts)-1]
	isLong := first == collections[0]
	var ids, long []string
	for i, p := range parts {
		if !isLong || i%2 == 1 {
			ids = append(ids, p)
		}
	}
	for i, id := range ids {
		if i >= len(collections) || !isLabel(id) {
			return "", wrong
		}
		long = append(long, collections[i], id)
	}
	name := strings.Join(long, "/")
	switch {
	case isLong && name != s, first == "branches", first == "endpoints", first == "instances":
		return "", wrong
	case !isLong && IsUID(last) && (len(ids) < 2 || len(ids) < 3 && strings.HasPrefix(last, "ep-")):
		return "", rejected(s, from, "name it with its project, as PROJECT/BRANCH/ENDPOINT; lakebase-credential-helper endpoints lists them",
			"is an ID of the console, not a name")
	}
	return name, nil
}

// SplitEndpoint returns the IDs of an endpoint's long name; missing ones are empty.
func SplitEndpoint(name string) (project, branch, endpoint string) {
	parts := append(strings.Split(name, "/"), make([]string, 6)...)
	return parts[1], parts[3], parts[5]
}

// IsUID reports whether an id looks like one of those that the console's address and host
// names show ("ep-rapid-cherry-y12fhu7x", Databricks documentation, "Computes and
// endpoints"). A branch or endpoint may have a name of its own that looks so.
func IsUID(id string) bool {
	prefix, rest, _ := strings.Cut(id, "-")
	if prefix != "ep" && prefix != "br" || !isLabel(id) {
		return false
	}
	return strings.Contains(rest, "-") || len(rest) >= 8 && strings.ContainsAny(rest, "0123456789")
}

// EndpointWhole reports whether the endpoint, if any, has a complete name without UIDs.
func (c *Config) EndpointWhole() bool {
	_, branch, endpoint := SplitEndpoint(c.Endpoint.Value)
	return c.Endpoint.Value == "" || endpoint != "" && !IsUID(branch) && !IsUID(endpoint)
}
