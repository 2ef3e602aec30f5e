package pgenv

import "strings"

// entry is one variable, with its text NAME=VALUE. Names are compared by key.
type entry struct{ key, name, value, text string }

type entries []entry

func (es entries) has(key string) bool {
	for _, e := range es {
		if e.key == key {
			return true
		}
	}
	return false
}

// valueOf is the value that getenv would give for a name in capitals.
func valueOf(es entries, name string) string {
	for _, e := range es {
		if e.key == name {
			return e.value
		}
	}
	return ""
}

// namedToken is the key of the variable that DATABRICKS_OIDC_TOKEN_ENV names, blanks
// around it left out as when it is read.
func namedToken(es entries, fold bool) string {
	return key(strings.TrimSpace(valueOf(es, oidcTokenEnv)), fold)
}

func key(name string, fold bool) string {
	if fold {
		return strings.ToUpper(name)
	}
	return name
}

// parse splits the caller's environment and keeps the first of equal names.
func parse(environ []string, fold bool) entries {
	es := make(entries, 0, len(environ))
	seen := make(map[string]bool, len(environ))
	for _, s := range environ {
		name, value, ok := split(s, fold)
		if k := key(name, fold); ok && !seen[k] {
			seen[k] = true
			es = append(es, entry{key: k, name: name, value: value, text: s})
		}
	}
	return es
}

// split cuts NAME=VALUE. On Windows cmd.exe keeps each drive's folder in an
// entry like "=C:=C:\work", whose name begins with "=".
func split(s string, windows bool) (name, value string, ok bool) {
	from := 0
	if windows && strings.HasPrefix(s, "=") {
		from = 1
	}
	i := strings.IndexByte(s[from:], '=')
	if i <= 0 {
		return "", "", false
	}
	return s[:from+i], s[from+i+1:], true
}
