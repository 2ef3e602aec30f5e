package secretfile

import (
	"encoding/json"
	"strings"
	"unicode"

	"github.com/lakebase-exec/lakebase-exec/internal/config"
	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// item is the content of a file: the secret of a service principal, or the refresh
// token of a user. It names its owner, so that a renamed file is not used.
type item struct {
	Version      int    `json:"version"`
	Host         string `json:"host"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	User         string `json:"user,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// newItem returns the item of account; ok is false if that is neither of a service
// principal nor of a user.
func newItem(account string, secret credential.Secret) (it item, ok bool) {
	it.Version = itemVersion
	if it.Host, it.ClientID, ok = config.SplitSecretAccount(account); ok {
		it.ClientSecret = secret.Reveal()
		return it, true
	}
	if it.Host, it.User, ok = config.SplitRefreshAccount(account); ok {
		it.RefreshToken = secret.Reveal()
	}
	return it, ok
}

// parseItem parses an item of one of the two kinds; a mixture is not ok.
func parseItem(data []byte) (it item, ok bool) {
	if json.Unmarshal(data, &it) != nil || it.Version != itemVersion || strings.ContainsFunc(it.secret(), unicode.IsControl) {
		return item{}, false
	}
	if it.ofUser() {
		return it, it.RefreshToken != "" && it.User != "" && it.ClientID == "" && it.ClientSecret == ""
	}
	return it, it.ClientSecret != ""
}

func (it item) ofUser() bool { return it.RefreshToken != "" || it.User != "" }

func (it item) account() string {
	if it.ofUser() {
		return config.RefreshAccount(it.Host, it.User)
	}
	return config.SecretAccount(it.Host, it.ClientID)
}

func (it item) secret() string {
	if it.ofUser() {
		return it.RefreshToken
	}
	return it.ClientSecret
}

// mismatch returns the reason for a file whose name is not that of its content.
func (it item) mismatch() string {
	if it.ofUser() {
		return "it holds the login of another host or user"
	}
	return "it holds the secret of another host or client ID"
}
