package cli

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// secretItem is what a file of SecretFiles holds: a service principal's secret, or
// a person's refresh token. Whose it is stands beside it and is compared: a file
// under another's name is not used.
type secretItem struct {
	Version      int    `json:"version"`
	Host         string `json:"host"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	User         string `json:"user,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// newSecretItem makes what is stored for account; ok is false where that is
// neither a service principal's nor a person's.
func newSecretItem(account string, secret credential.Secret) (it secretItem, ok bool) {
	it.Version = secretItemVersion
	if it.Host, it.ClientID, ok = config.SplitSecretAccount(account); ok {
		it.ClientSecret = secret.Reveal()
		return it, true
	}
	if it.Host, it.User, ok = config.SplitRefreshAccount(account); ok {
		it.RefreshToken = secret.Reveal()
	}
	return it, ok
}

// parseSecretItem takes an item of one of the two kinds, and no mixture.
func parseSecretItem(data []byte) (it secretItem, ok bool) {
	if json.Unmarshal(data, &it) != nil || it.Version != secretItemVersion || strings.ContainsFunc(it.secret(), unicode.IsControl) {
		return secretItem{}, false
	}
	if it.ofPerson() {
		return it, it.RefreshToken != "" && it.User != "" && it.ClientID == "" && it.ClientSecret == ""
	}
	return it, it.ClientSecret != ""
}

func (it secretItem) ofPerson() bool { return it.RefreshToken != "" || it.User != "" }

func (it secretItem) account() string {
	if it.ofPerson() {
		return config.RefreshAccount(it.Host, it.User)
	}
	return config.SecretAccount(it.Host, it.ClientID)
}

func (it secretItem) secret() string {
	if it.ofPerson() {
		return it.RefreshToken
	}
	return it.ClientSecret
}

// anothers says that the file's name is not that of what it holds.
func (it secretItem) anothers() string {
	if it.ofPerson() {
		return "it holds the login of another host or person"
	}
	return "it holds the secret of another host or client id"
}
