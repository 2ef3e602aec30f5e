package config

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Profiles is a parsed profiles file.
type Profiles struct {
	file *ini
}

// ParseProfiles reads the file called name. Its errors name file and line.
func ParseProfiles(name string, data []byte) (*Profiles, error) {
	f, err := parseINI(name, data)
	if err != nil {
		return nil, err
	}
	return &Profiles{f}, nil
}

// Names lists the profiles in the file's order.
func (p *Profiles) Names() []string { return p.file.sections() }

// Has reports whether a profile exists.
func (p *Profiles) Has(name string) bool {
	_, ok := p.file.get(name)
	return ok
}

// Value returns the raw text of a key of a profile.
func (p *Profiles) Value(profile, key string) string {
	s, _ := p.file.get(profile)
	return s[key].text
}

// Set writes keys to a profile, which it creates if necessary, and returns the whole
// file. An empty value removes its key. The rest of the file is unchanged.
func (p *Profiles) Set(profile string, keys map[string]string) ([]byte, error) {
	if profile == "" || strings.ContainsAny(profile, "[]\r\n") || hasControl(profile) || profile != strings.TrimSpace(profile) {
		return nil, &Error{Name: "--profile", Problem: sanitize.Quote(profile) + " cannot be a profile's name", Fix: "choose a name without brackets, line ends and white space around it"}
	}
	for _, s := range settings { // in the table's order, so that files read alike
		v, given := keys[s.Key]
		switch {
		case s.Key == "" || !given:
		case v == "":
			p.file.remove(profile, s.Key)
		default:
			p.file.set(profile, s.Key, v)
		}
	}
	out := p.file.bytes()
	again, err := parseINI(p.file.name, out)
	if err != nil {
		return nil, err
	}
	got, _ := again.get(profile)
	for k, v := range keys {
		if got[k].text != v {
			return nil, &Error{Name: "key " + k, Problem: sanitize.Quote(v) + " cannot be written to a profile", Fix: "give a value without line ends and quotes"}
		}
	}
	return out, nil
}

// values returns the profile's settings by option name, or an error for an unknown key.
func (p *Profiles) values(name string) (map[string]raw, error) {
	section, _ := p.file.get(name)
	out := map[string]raw{}
	for _, key := range slices.SortedFunc(maps.Keys(section), func(a, b string) int { return section[a].line - section[b].line }) {
		v := section[key]
		from := Source{FromProfile, fmt.Sprintf("key %s of profile %s (%s:%d)", key, sanitize.Quote(name), p.file.name, v.line)}
		if strings.HasPrefix(key, setPrefix) && len(key) > len(setPrefix) {
			out[key] = raw{[]string{v.text}, from}
			continue
		}
		s := byKey(key)
		if s == nil {
			e := errorf(from, "unknown key")
			if secretKey(key) {
				e.Problem = "profiles must not contain secrets"
				e.Fix = "remove the line, then store the secret with: lakebase-credential-helper login --profile " + name
			} else {
				e.Fix = "known keys: " + strings.Join(keys(), ", ")
			}
			return nil, e
		}
		if v.text != "" {
			out[s.Option] = raw{[]string{v.text}, from}
		}
	}
	return out, nil
}

// setPrefix begins the keys of a profile that set a variable by a template.
const setPrefix = "set."

func byKey(key string) *Setting {
	for i := range settings {
		if settings[i].Key == key && key != "" {
			return &settings[i]
		}
	}
	return nil
}

// keys lists the profile's keys, sorted.
func keys() []string {
	var out []string
	for _, s := range settings {
		if s.Key != "" {
			out = append(out, s.Key)
		}
	}
	sort.Strings(out)
	return append(out, setPrefix+"NAME")
}

func secretKey(key string) bool {
	switch strings.ToLower(key) {
	case "client_secret", "password", "token", "secret", "pgpassword":
		return true
	}
	return false
}

// ProfileKeys returns what login writes to a profile, by key. An empty value removes
// the key.
func (c Config) ProfileKeys() map[string]string {
	keys := map[string]string{}
	for _, s := range settings {
		if s.stored == nil {
			continue
		}
		if text, ok := s.stored(&c); ok {
			keys[s.Key] = text
		}
	}
	return keys
}
