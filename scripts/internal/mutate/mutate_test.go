package main

import (
	"strings"
	"testing"
)

// The table belongs to the code as it is: a mutant that fits nowhere breaks
// nothing.
func TestTable(t *testing.T) {
	all := table()
	if len(all) < 60 {
		t.Errorf("%d mutants", len(all))
	}
	names := map[string]bool{}
	for _, m := range all {
		if _, err := m.broken("../../.."); err != nil {
			t.Error(err)
		}
		if names[m.name] || !strings.Contains(m.name, "/") || m.why == "" || !strings.HasPrefix(m.tests, "./") {
			t.Errorf("%+v", m)
		}
		names[m.name] = true
	}
}
