package archtest

import (
	"encoding/xml"
	"os"
	"slices"
	"strings"
	"testing"
)

// picture is what the test reads of docs/architecture.svg.
type picture struct {
	Groups []struct {
		Titles []string `xml:"title"`
	} `xml:"g>g"`
}

// TestArchitecturePicture checks that docs/architecture.svg shows every package,
// and that an import is there exactly if arrows lead from one to the other.
func TestArchitecturePicture(t *testing.T) {
	data, err := os.ReadFile("../../docs/architecture.svg")
	if err != nil {
		t.Fatal(err)
	}
	var p picture
	if err := xml.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	drawn := map[string][]string{}
	for _, g := range p.Groups {
		for _, title := range g.Titles {
			if from, to, isEdge := strings.Cut(title, "->"); isEdge {
				drawn[from] = append(drawn[from], to)
			} else if title != "leaves" {
				drawn[title] = append(drawn[title], nil...)
			}
		}
	}
	imports := map[string][]string{}
	for _, pkg := range list(t, "linux", "./cmd/...", "./internal/...") {
		at := ours(pkg.ImportPath)
		if slices.Contains(leaves, at) || strings.HasPrefix(at, "cmd/internal/gen") {
			continue
		}
		imports[at] = nil
		for _, imp := range pkg.Imports {
			if to := ours(imp); to != "" && !slices.Contains(leaves, to) {
				imports[at] = append(imports[at], to)
			}
		}
	}
	const fix = "; run scripts/architecture"
	for at, all := range imports {
		if _, ok := drawn[at]; !ok {
			t.Errorf("docs/architecture.svg does not show %s%s", at, fix)
			continue
		}
		got, want := reachable(drawn, at), reachable(imports, at)
		if !slices.Equal(got, want) {
			t.Errorf("docs/architecture.svg: arrows lead from %s to %q, want %q%s", at, got, want, fix)
		}
		for _, to := range drawn[at] {
			if !slices.Contains(all, to) {
				t.Errorf("docs/architecture.svg: an arrow from %s to %s, which it does not import%s", at, to, fix)
			}
		}
	}
	if len(imports) < 15 {
		t.Errorf("only %d packages", len(imports))
	}
}

// reachable returns all that edges lead to from start, sorted.
func reachable(edges map[string][]string, start string) []string {
	var found []string
	for todo := []string{start}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		for _, to := range edges[at] {
			if !slices.Contains(found, to) {
				found = append(found, to)
				todo = append(todo, to)
			}
		}
	}
	slices.Sort(found)
	return found
}
