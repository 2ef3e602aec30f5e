// Command verify looks at a real workspace, with harmless calls, for what public
// documents leave open about Lakebase, and prints one line for each fact. It
// changes nothing there, and prints nothing that is secret.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

func main() {
	environ := map[string]string{}
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		if _, twice := environ[name]; !twice {
			environ[name] = value
		}
		if strings.HasPrefix(name, "PG") { // pgconn reads them by itself
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(run(context.Background(), os.Args[1:], environ, os.Stdout, os.Stderr))
}

// run prints all facts. Its code is 1 where nothing could be looked at.
func run(ctx context.Context, args []string, environ map[string]string, stdout, stderr io.Writer) int {
	r, err := open(ctx, args, environ)
	if err != nil {
		fmt.Fprintln(stderr, "scripts/verify-live: error: "+err.Error())
		return 1
	}
	defer r.close()
	counts := map[verdict]int{}
	for _, f := range facts() {
		seen, v := r.look(ctx, f)
		counts[v]++
		fmt.Fprintf(stdout, "%-17s  %s: %s\n", v, f.text, r.shorten(seen))
	}
	fmt.Fprintf(stdout, "%d facts: %d hold, %d do not, %d could not be seen\n", len(facts()), counts[holds], counts[fails], counts[unseen])
	if r.bearer.IsZero() {
		return 1
	}
	return 0
}

// verdict is what became of a fact.
type verdict string

const (
	holds  verdict = "holds"
	fails  verdict = "does not hold"
	unseen verdict = "could not be seen"
)

// is is the verdict on something that was seen.
func is(true bool) verdict {
	if true {
		return holds
	}
	return fails
}

// fact is one statement, and how to look at it.
type fact struct {
	text string
	see  func(ctx context.Context, r *road) (seen string, v verdict)
}

// factTime bounds the look at one fact: a compute may have to wake for it.
const factTime = 90 * time.Second

// look looks at one fact.
func (r *road) look(ctx context.Context, f fact) (string, verdict) {
	limit := factTime
	if r.patient {
		limit += 7 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f.see(ctx, r)
}

func facts() []fact {
	var all []fact
	for _, part := range [][]fact{oauthFacts, apiFacts, credentialFacts, tlsFacts, loginFacts} {
		all = append(all, part...)
	}
	return all
}
