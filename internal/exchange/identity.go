package exchange

import (
	"context"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Identity is the owner of a workspace token.
type Identity struct {
	UserName string // an email address, or a service principal's client ID
	ID       string // the numeric ID in SCIM
}

// Me requests the bearer's identity, by SCIM Me. The user name is the Postgres role.
func (c *Client) Me(ctx context.Context, bearer credential.Secret) (Identity, error) {
	r, me, err := c.me(ctx, CallMe, bearer)
	if err != nil {
		return Identity{}, err
	}
	if name := me.UserName; name == "" || len(name) > sanitize.MaxLine || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return Identity{}, c.badReply(r, "it has no valid userName")
	}
	return me, nil
}

// Principal requests the numeric ID of the bearer's service principal, which is not
// its client ID.
func (c *Client) Principal(ctx context.Context, bearer credential.Secret) (string, error) {
	r, me, err := c.me(ctx, CallPrincipal, bearer)
	if err != nil {
		return "", err
	}
	if !isID(me.ID) {
		return "", c.badReply(r, "it has no valid id")
	}
	return me.ID, nil
}

func (c *Client) me(ctx context.Context, call Call, bearer credential.Secret) (request, Identity, error) {
	r := c.apiRequest(call, http.MethodGet, "/api/2.0/preview/scim/v2/Me", bearer)
	var w struct {
		UserName flexString `json:"userName"`
		ID       flexString `json:"id"`
	}
	if failed := c.doJSON(ctx, r, &w); failed != nil {
		return r, Identity{}, failed
	}
	return r, Identity{UserName: string(w.UserName), ID: sanitize.Line(string(w.ID))}, nil
}

// isID reports whether s is valid as an ID in a path.
func isID(s string) bool {
	const valid = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~"
	return s != "" && len(s) <= 128 && s != "." && s != ".." && strings.Trim(s, valid) == ""
}
