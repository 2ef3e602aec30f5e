package exchange

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// maxPages bounds a list: a server that never ends it is not asked for ever.
const maxPages = 20

// pageSize is the most that the API gives at once (databricks-sdk-go
// service/postgres).
const pageSize = "100"

// Identity is who a workspace token belongs to.
type Identity struct {
	UserName string // a person's address, or a service principal's client id
	ID       string // the numeric id in SCIM
}

// Project holds branches (databricks-sdk-go service/postgres). A display name may
// hold any character: escape it before showing it.
type Project struct {
	Name          string // projects/P
	UID           string
	DisplayName   string
	DefaultBranch string // projects/P/branches/B; empty: not told
}

// Branch is a branch of a project.
type Branch struct {
	Name     string // projects/P/branches/B
	UID      string // br-…
	State    string // INIT, READY, IMPORTING, RESETTING, ARCHIVED, DELETED
	Default  bool
	Archived bool
}

// Me asks who the bearer belongs to, by SCIM Me. The user name is what Postgres
// calls them. The error is an *Error.
func (c *Client) Me(ctx context.Context, bearer credential.Secret) (Identity, error) {
	r := c.api(CallMe, http.MethodGet, mePath, bearer)
	rep, failed := c.callAPI(ctx, r, bearer)
	if failed != nil {
		return Identity{}, failed
	}
	var w struct {
		UserName anyText    `json:"userName"`
		ID       flexString `json:"id"`
	}
	if failed := decode(rep.body, &w); failed != nil {
		return Identity{}, c.fail(r, failed)
	}
	if !isUserName(string(w.UserName)) {
		return Identity{}, c.fail(r, &Error{Kind: KindBadReply, Message: "it has no userName, or one that is none"})
	}
	return Identity{UserName: string(w.UserName), ID: sanitize.Line(string(w.ID))}, nil
}

// isUserName keeps out what could not be one, or would break a line.
func isUserName(s string) bool {
	return s != "" && len(s) <= sanitize.MaxLine && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// foldText returns a name for people on one line of at most sanitize.MaxLine bytes. It
// keeps format characters, which emoji need; whoever prints it escapes them.
func foldText(s string) string {
	return sanitize.Truncate(strings.Join(strings.Fields(s), " "), sanitize.MaxLine)
}

// Projects lists the projects that the bearer may see. The error is an *Error.
func (c *Client) Projects(ctx context.Context, bearer credential.Secret) ([]Project, error) {
	return listed(ctx, c, CallProjects, bearer, "", func(w wireResource) Project {
		p := Project{Name: w.Name, UID: sanitize.Line(string(w.UID)), DisplayName: foldText(string(w.Status.DisplayName)), DefaultBranch: string(w.Status.DefaultBranch)}
		if isSegment(p.DefaultBranch) && !strings.Contains(p.DefaultBranch, "/") {
			p.DefaultBranch = p.Name + "/branches/" + p.DefaultBranch
		}
		if !isName(p.DefaultBranch, "projects", "branches") {
			p.DefaultBranch = ""
		}
		return p
	})
}

// Branches lists the branches of a project, projects/P. The error is an *Error.
func (c *Client) Branches(ctx context.Context, bearer credential.Secret, project string) ([]Branch, error) {
	return listed(ctx, c, CallBranches, bearer, project, func(w wireResource) Branch {
		state := sanitize.Line(string(w.Status.CurrentState))
		return Branch{Name: w.Name, UID: sanitize.Line(string(w.UID)), State: state, Default: w.Status.Default, Archived: state == "ARCHIVED"}
	})
}

// Endpoints lists the endpoints of a branch, projects/P/branches/B. The error is
// an *Error.
func (c *Client) Endpoints(ctx context.Context, bearer credential.Secret, branch string) ([]Endpoint, error) {
	return listed(ctx, c, CallEndpoints, bearer, branch, wireEndpoint.described)
}

// wireResource is a project or a branch. Types are not trusted.
type wireResource struct {
	Name   string     `json:"name"`
	UID    flexString `json:"uid"`
	Status struct {
		DisplayName   anyText `json:"display_name"`
		DefaultBranch anyText `json:"default_branch"`
		CurrentState  anyText `json:"current_state"`
		Default       bool    `json:"default"`
	} `json:"status"`
}

func (w wireResource) name() string { return w.Name }
func (w wireEndpoint) name() string { return w.Name }

// levels are the kinds of resource, from the top.
var levels = []string{"projects", "branches", "endpoints"}

// listed asks for the children of parent. All that comes must have a name that
// can be asked for again.
func listed[W interface{ name() string }, T any](ctx context.Context, c *Client, call Call, bearer credential.Secret, parent string, describe func(W) T) ([]T, error) {
	path, depth := "/api/2.0/postgres/", map[Call]int{CallProjects: 0, CallBranches: 1, CallEndpoints: 2}[call]
	if depth > 0 {
		path += parent + "/"
	}
	r := c.api(call, http.MethodGet, path+levels[depth], bearer)
	if depth > 0 && !isName(parent, levels[:depth]...) {
		return nil, c.notSent(r, KindEndpointMalformed, "the name is not "+strings.Join([]string{"projects/P", "branches/B"}[:depth], "/"))
	}
	r.query = url.Values{"page_size": {pageSize}}.Encode()
	var out []T
	failed := c.pages(ctx, r, bearer, func(body []byte) (string, *Error) {
		var page struct {
			Projects      []W    `json:"projects"`
			Branches      []W    `json:"branches"`
			Endpoints     []W    `json:"endpoints"`
			NextPageToken string `json:"next_page_token"`
		}
		if failed := decode(body, &page); failed != nil {
			return "", failed
		}
		for _, w := range [][]W{page.Projects, page.Branches, page.Endpoints}[depth] {
			if !isName(w.name(), levels[:depth+1]...) {
				return "", &Error{Kind: KindBadReply, Message: "one of the list has no name, or one that is none"}
			}
			out = append(out, describe(w))
		}
		return page.NextPageToken, nil
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

// pages makes the call for each page of a list; read takes one, and gives the
// token of the next, or none.
func (c *Client) pages(ctx context.Context, r request, bearer credential.Secret, read func(body []byte) (next string, failed *Error)) *Error {
	query, _ := url.ParseQuery(r.query) // our own
	for range maxPages {
		rep, failed := c.callAPI(ctx, r, bearer)
		if failed != nil {
			return failed
		}
		next, failed := read(rep.body)
		if failed != nil {
			return c.fail(r, failed)
		}
		if next == "" {
			return nil
		}
		query.Set("page_token", next)
		r.query = query.Encode()
	}
	return c.fail(r, &Error{Kind: KindTooLarge, Message: "the list does not end after " + strconv.Itoa(maxPages) + " pages"})
}
