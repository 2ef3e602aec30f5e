package credential

import (
	"reflect"
	"testing"
	"time"
)

func TestFresh(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const m = time.Minute
	for _, c := range []struct {
		name            string
		minted, expires time.Duration
		min             time.Duration
		want            bool
	}{
		{"just minted", 0, time.Hour, 15 * m, true},
		{"enough is left", -45 * m, 15 * m, 15 * m, true},
		{"a second too little is left", -45*m - time.Second, 15*m - time.Second, 15 * m, false},
		{"at its end", -time.Hour, 0, 0, false},
		{"a nanosecond is left, and no minimum", -time.Hour + 1, 1, 0, true},
		{"a negative minimum does not revive it", -time.Hour - 1, -1, -time.Hour, false},
		{"expired", -2 * m, -m, 0, false},
		{"the minimum is cut to half of its life", -3 * m, 3 * m, 15 * m, true},
		{"and that half counts", -3*m - time.Second, 3*m - time.Second, 15 * m, false},
		{"minted in the future", time.Second, 30 * m, 0, false},
		{"lives an hour", 0, time.Hour, 0, true},
		{"claims more than an hour", 0, time.Hour + 1, 0, false},
		{"lives no time", 0, 0, 0, false},
		{"expires before it is minted", -m, -2 * m, 0, false},
	} {
		tok := Token{Value: NewSecret("t"), MintedAt: at(c.minted), ExpiresAt: at(c.expires)}
		if got := tok.Fresh(now, c.min); got != c.want {
			t.Errorf("%s: fresh is %v", c.name, got)
		}
		tok.Value = Secret{}
		if tok.Fresh(now, c.min) {
			t.Errorf("%s: a token without a value is fresh", c.name)
		}
	}
	if (Token{Value: NewSecret("t")}).Fresh(now, 0) {
		t.Error("a token without times is fresh")
	}
}

func aKey() Key {
	return Key{Identity: "i", Host: "h", WorkspaceID: "w", Principal: "p", Target: "t", TTL: time.Minute, Credential: "c"}
}

func TestKeyIDChangesWithEachField(t *testing.T) {
	seen := map[string]string{aKey().ID(): "none"}
	for i := range reflect.TypeFor[Key]().NumField() {
		k := aKey()
		switch f := reflect.ValueOf(&k).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Bool:
			f.SetBool(!f.Bool())
		default:
			t.Fatalf("a field of kind %s is not tested", f.Kind())
		}
		name := reflect.TypeFor[Key]().Field(i).Name
		if twin, twice := seen[k.ID()]; twice {
			t.Errorf("a change of %s gives the same ID as a change of %s", name, twin)
		}
		seen[k.ID()] = name
	}
	if one, again := aKey().ID(), aKey().ID(); one != again || len(one) != 64 {
		t.Error("the ID is not one SHA-256 of the fields")
	}
}

func FuzzKeyID(f *testing.F) {
	f.Add("a", "b", "1:a", "")
	f.Add("ab", "c", "a", "bc")
	f.Add("a1:b", "", "a", "b")
	f.Add("a", "0b", "a0", "b")
	f.Add("\x00", "", "", "\x00")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		one, two := Key{Host: a, Principal: b}, Key{Host: c, Principal: d}
		if (one == two) != (one.ID() == two.ID()) {
			t.Errorf("%+v and %+v", one, two)
		}
	})
}

func TestFingerprint(t *testing.T) {
	k, other := aKey(), aKey()
	other.Host = "elsewhere"
	a, b := NewSecret("one secret"), NewSecret("another")
	switch {
	case k.Fingerprint(a) != k.Fingerprint(NewSecret("one secret")):
		t.Error("one secret has two fingerprints")
	case k.Fingerprint(a) == k.Fingerprint(b):
		t.Error("two secrets have one fingerprint")
	case k.Fingerprint(a) == other.Fingerprint(a):
		t.Error("the fingerprint tells that two targets have the same secret")
	case len(k.Fingerprint(a)) != 32:
		t.Error("the fingerprint is not 16 bytes in hex")
	}
}

func TestIsUUID(t *testing.T) {
	for s, want := range map[string]bool{
		"181693c3-0c6d-40f7-99b0-95e07f337ab8": true, "181693C3-0C6D-40F7-99B0-95E07F337AB8": true, "": false, "181693c30c6d40f799b095e07f337ab8": false,
		"181693c3-0c6d-40f7-99b0-95e07f337ab": false, "181693c3-0c6d-40f7-99b0-95e07f337ab88": false, "181693c3-0c6d-40f7-99b0-95e07f337ab8\n": false,
		"181693c3-0c6d-40f7-99b0_95e07f337ab8": false, "181693c-30c6d-40f7-99b0-95e07f337ab8": false, "181693cg-0c6d-40f7-99b0-95e07f337ab8": false,
		"181693c3-0c6d-40f7-99b0-95e07f337a-8": false, "/81693c3-0c6d-40f7-99b0-95e07f337ab:": false,
	} {
		if IsUUID(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}
