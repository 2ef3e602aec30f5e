package config

import (
	"strings"
)

// SecretAccount is the keychain account of the secret: one for each host and
// client ID, so that a secret cannot be read for another host.
func (c *Config) SecretAccount() string {
	return SecretAccount(c.Workspace.Value.HostPort(), c.ClientID.Value)
}

// SecretAccount is the keychain account of a service principal's secret.
func SecretAccount(host, clientID string) string { return "secret:" + host + ":" + clientID }

// SplitSecretAccount is the reverse of SecretAccount. The client ID has no
// colon in it; the host may.
func SplitSecretAccount(account string) (host, clientID string, ok bool) {
	rest, ok := strings.CutPrefix(account, "secret:")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// RecordAccount is the keychain account of the secret's metadata: when it was created
// and when it expires. It holds no secret.
func RecordAccount(host, clientID string) string { return "meta:" + host + ":" + clientID }

// RecordAccount returns the configured identity's account.
func (c *Config) RecordAccount() string {
	return RecordAccount(c.Workspace.Value.HostPort(), c.ClientID.Value)
}

// RefreshAccount is the keychain account of a user's refresh token: one for each host
// and user name.
func RefreshAccount(host, user string) string { return "refresh:" + host + ":" + user }

// RefreshAccount returns the configured user's account.
func (c *Config) RefreshAccount() string {
	return RefreshAccount(c.Workspace.Value.HostPort(), c.User.Value)
}

// SplitRefreshAccount is the reverse of RefreshAccount. The host is read first: a
// user name may have colons in it.
func SplitRefreshAccount(account string) (host, user string, ok bool) {
	rest, ok := strings.CutPrefix(account, "refresh:")
	if !ok {
		return "", "", false
	}
	end := strings.IndexByte(rest, ':')
	if strings.HasPrefix(rest, "[") {
		end = strings.IndexByte(rest, ']') + 1
	}
	if end <= 0 || end >= len(rest) || rest[end] != ':' {
		return "", "", false
	}
	host, user = rest[:end], rest[end+1:]
	if port, after, found := strings.Cut(user, ":"); found && digitsOnly(port) {
		host, user = host+":"+port, after
	}
	return host, user, user != ""
}
