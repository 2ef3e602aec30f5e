package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Profiles is a parsed profiles file.
type Profiles struct{ *ini }

// ParseProfiles reads the file called name. Its errors name file and line.
func ParseProfiles(name string, data []byte) (*Profiles, error) {
	f := parseINI(name, data, "")
	for _, l := range f.lines {
		if problem := cmp.Or(l.problem, l.strict); problem != "" {
			return nil, f.lineError(l, problem)
		}
	}
	return &Profiles{f}, nil
}

// Set writes keys to a profile, which it creates if necessary, and returns the whole
// file. An empty value removes its key. The rest of the file is unchanged.
func (p *Profiles) Set(profile string, keys map[string]string) ([]byte, error) {
	if profile == "" || strings.ContainsAny(profile, "[]") || hasControl(profile) || profile != strings.TrimSpace(profile) {
		return nil, &Error{Name: "--profile", Problem: sanitize.Quote(profile) + " cannot be a profile's name",
			Fix: "choose a name without brackets, line ends and white space around it"}
	}
	for _, s := range settings { // in the table's order, so that files read alike
		switch v, given := keys[s.Key]; {
		case s.Key == "" || !given:
		case v == "":
			p.remove(profile, s.Key)
		default:
			p.set(profile, s.Key, v)
		}
	}
	out := p.bytes()
	again, err := ParseProfiles(p.name, out)
	for _, l := range p.lines { // everything must be read back as it was written
		if err == nil && l.key != "" && again.Value(l.section, l.key) != l.value {
			err = &Error{Name: "key " + l.key, Problem: sanitize.Quote(l.value) + " cannot be written to a profile",
				Fix: "give a value without line ends and quotes"}
		}
	}
	return out, err
}

// values returns the profile's settings by option name, or an error for an unknown key.
func (p *Profiles) values(name string) (map[string]raw, error) {
	section, quoted := p.sections[name], sanitize.Quote(name)
	out := map[string]raw{}
	for _, key := range slices.SortedFunc(maps.Keys(section), func(a, b string) int { return section[a].number - section[b].number }) {
		v := section[key]
		from := Source{FromProfile, fmt.Sprintf("key %s of profile %s (%s:%d)", key, quoted, p.name, v.number)}
		i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
		switch {
		case strings.HasPrefix(key, setPrefix) && len(key) > len(setPrefix):
			out[key] = raw{[]string{v.value}, from}
		case i >= 0 && v.value != "":
			out[settings[i].Option] = raw{[]string{v.value}, from}
		case i >= 0:
		case slices.Contains([]string{"client_secret", "password", "token", "secret", "pgpassword"}, strings.ToLower(key)):
			return nil, invalid(from, "remove the line, then store the secret with: lakebase-credential-helper login --profile "+sanitize.ShellWord(name),
				"profiles must not contain secrets")
		default:
			return nil, invalid(from, "known keys: "+strings.Join(keys(), ", "), "unknown key")
		}
	}
	return out, nil
}

// setPrefix begins the keys of a profile that set a variable by a template.
const setPrefix = "set."

// keys lists the profile's keys, sorted.
func keys() []string {
	var out []string
	for _, s := range settings {
		if s.Key != "" {
			out = append(out, s.Key)
		}
	}
	slices.Sort(out)
	return append(out, setPrefix+"NAME")
}

// text returns the resolved settings of the target by option, as an option would give them.
func (c *Config) text() map[string]Value[string] {
	values := map[string]Value[string]{
		"host": {c.Workspace.Value.String(), c.Workspace.Source}, "client-id": c.ClientID, "auth": c.Auth, "scope": c.Scope,
		"databricks-profile": c.DatabricksProfile, "endpoint": c.Endpoint, "instance": c.Instance,
		"pghost": c.PGHost, "pgport": {strconv.Itoa(c.PGPort.Value), c.PGPort.Source}, "database": c.Database, "user": c.User,
		"sslrootcert": c.SSLRootCert, "cacert": c.CACert,
	}
	maps.Copy(values, c.authOptions)
	return values
}

// ProfileKeys returns what login writes to a profile, by key: who signs in, and what the
// profile does not say itself. An empty value removes the key: where an option names
// another target or identity, those of the old one go.
func (c Config) ProfileKeys() map[string]string {
	keys, values := map[string]string{}, c.text()
	for _, s := range settings {
		v := values[s.Option]
		signsIn := s.AuthType != "" || slices.Contains([]string{"host", "client-id", "auth", "scope", "pghost", "pgport", "user"}, s.Option)
		if v.Given() && v.Value != "" && (signsIn || v.Source.Origin != FromProfile) {
			keys[s.Key] = v.Value
		}
	}
	if c.Auth.Source == c.Secret.Source { // it follows from a secret, which may be gone at the next start
		delete(keys, "auth")
	}
	newTarget := c.Target().Source.Origin == FromOption
	newIdentity := c.ClientID.Source.Origin == FromOption || c.Auth.Source.Origin == FromOption
	for option, remove := range map[string]bool{
		"client-id": !hasClientID(c.Auth.Value), "user": newIdentity, "databricks-profile": c.DatabricksProfile.Given(),
		"endpoint": newTarget, "instance": newTarget, "pghost": newTarget, "pgport": newTarget,
	} {
		if v := values[option]; remove && (!v.Given() || v.Value == "") {
			keys[byOption(option).Key] = ""
		}
	}
	if c.ClientID.Value == "" && c.User.Value != "" { // even where the workspace named it
		keys["user"] = c.User.Value
	}
	return keys
}

// SecretAccount is the keychain account of a service principal's secret: one for each
// host and client ID, so that a secret cannot be read for another host.
func SecretAccount(host, clientID string) string { return "secret:" + host + ":" + clientID }

// SecretAccount returns the configured identity's account.
func (c *Config) SecretAccount() string {
	if c.Native() {
		return NativeAccount(c.PGHostPort(), c.User.Value)
	}
	return SecretAccount(c.Workspace.Value.HostPort(), c.ClientID.Value)
}

// PGHostPort returns the database's host:port.
func (c *Config) PGHostPort() string {
	return net.JoinHostPort(c.PGHost.Value, strconv.Itoa(c.PGPort.Value))
}

// NativeAccount is the keychain account of a role's password: one for each host:port.
func NativeAccount(hostPort, role string) string { return "native:" + hostPort + ":" + role }

// RecordAccount is the account of the secret's times of creation and expiry.
func RecordAccount(host, clientID string) string { return "meta:" + host + ":" + clientID }

// RecordOf returns the account of the secret that a RecordAccount is about; others as they are.
func RecordOf(account string) (secret string, ok bool) {
	if rest, ok := strings.CutPrefix(account, "meta:"); ok {
		return "secret:" + rest, true
	}
	return account, false
}

// RefreshAccount is the keychain account of a user's refresh token.
func RefreshAccount(host, user string) string { return "refresh:" + host + ":" + user }

// Account is whose secret, login or password is stored under a name.
type Account struct {
	Host     string `json:"host"`                // the workspace's; of a role, the database's host:port
	ClientID string `json:"client_id,omitempty"` // of a service principal, which has a secret
	User     string `json:"user,omitempty"`      // who signs in, and has a refresh token
	Role     string `json:"role,omitempty"`      // of the database, which has a password
}

// ParseAccount is the reverse of SecretAccount, RefreshAccount and NativeAccount. The
// host, with or without a port, is read first: the name after it may have colons in it,
// but does not begin like a port (see CheckUser).
func ParseAccount(name string) (a Account, ok bool) {
	kind, rest, _ := strings.Cut(name, ":")
	end := strings.IndexByte(rest, ':')
	if strings.HasPrefix(rest, "[") {
		end = strings.IndexByte(rest, ']') + 1
	}
	if end <= 0 || !strings.HasPrefix(rest[end:], ":") {
		return a, false
	}
	host, owner := rest[:end], rest[end+1:]
	if port, after, found := strings.Cut(owner, ":"); found && digitsOnly(port) {
		host, owner = host+":"+port, after
	}
	switch kind {
	case "secret":
		a = Account{Host: host, ClientID: owner}
	case "refresh":
		a = Account{Host: host, User: owner}
	case "native":
		a = Account{Host: host, Role: owner}
	}
	return a, owner != "" && a.Host != ""
}

// String returns the name.
func (a Account) String() string {
	switch {
	case a.User != "":
		return RefreshAccount(a.Host, a.User)
	case a.Role != "":
		return NativeAccount(a.Host, a.Role)
	}
	return SecretAccount(a.Host, a.ClientID)
}

// SameTarget returns the options with which a command of lakebase-credential-helper
// uses the same workspace and identity.
func (c Config) SameTarget() string {
	if c.OfProfile() {
		return " --profile " + sanitize.ShellWord(c.Profile.Value)
	}
	text, options := "", []string{"databricks-profile", "host", "client-id"}
	if c.Native() {
		text, options = " --auth "+AuthNative, []string{"pghost", "pgport", "user"}
	}
	values := c.text()
	values["host"] = Value[string]{c.Workspace.Value.HostPort(), c.Workspace.Source}
	for _, o := range options {
		if v := values[o]; v.Value != "" && (v.Source.Origin == FromOption || v.Source.Origin == FromProfile) {
			text += " --" + o + " " + sanitize.ShellWord(v.Value)
		}
	}
	return text
}

// OfProfile reports whether workspace and identity are the profile's. If an option
// changes them, login --profile would store a secret for others.
func (c Config) OfProfile() bool {
	identity := []Source{c.Workspace.Source, c.ClientID.Source}
	if c.Native() {
		identity = []Source{c.Auth.Source, c.PGHost.Source, c.PGPort.Source, c.User.Source}
	}
	return c.Profile.Value != "" && !slices.ContainsFunc(identity, func(s Source) bool { return s.Origin == FromOption })
}
