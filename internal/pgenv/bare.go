package pgenv

// Bare is the caller's environment for a program that is to get no token, such as
// a browser: without the secrets, and without the variables of libpq that Build
// removes.
func Bare(caller []string) []string {
	entries := parse(caller, foldNames)
	oidc := namedToken(entries, foldNames)
	var out []string
	for _, e := range entries {
		if !drop(e, oidc, nil) {
			out = append(out, e.text)
		}
	}
	return out
}
