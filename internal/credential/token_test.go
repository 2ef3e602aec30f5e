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
		{"the minimum is cut to half of its life", -3 * m, 3 * m, 15 * m, true},
		{"and that half counts", -3*m - time.Second, 3*m - time.Second, 15 * m, false},
		{"minted in the future", time.Second, 30 * m, 0, false},
		{"claims more than an hour", 0, time.Hour + 1, 0, false},
		{"lives no time", 0, 0, 0, false},
		{"expires before it is minted", -m, -2 * m, 0, false},
	} {
		tok := Token{Value: NewSecret("t"), MintedAt: at(c.minted), ExpiresAt: at(c.expires)}
		if got := tok.Fresh(now, c.min); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
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

func TestKey_ID(t *testing.T) {
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
		if twin, twice := seen[k.ID()]; twice || len(k.ID()) != 64 {
			t.Errorf("a change of %s: got %s, the ID of a change of %s", name, k.ID(), twin)
		}
		seen[k.ID()] = name
	}
	for _, c := range [][4]string{{"a", "b", "1:a", ""}, {"ab", "c", "a", "bc"}, {"a1:b", "", "a", "b"}, {"a", "0b", "a0", "b"}, {"\x00", "", "", "\x00"}} {
		if one, two := (Key{Host: c[0], Principal: c[1]}), (Key{Host: c[2], Principal: c[3]}); one.ID() == two.ID() {
			t.Errorf("%+v and %+v: got one ID", one, two)
		}
	}
}

func TestKey_Fingerprint(t *testing.T) {
	k, other := aKey(), aKey()
	other.Host = "elsewhere"
	one := k.Fingerprint(NewSecret("one"))
	if again, b := k.Fingerprint(NewSecret("one")), k.Fingerprint(NewSecret("another")); one != again || one == b || one == other.Fingerprint(NewSecret("one")) || len(one) != 32 {
		t.Errorf("got %s, %s for another secret", one, b)
	}
}

func TestIsUUID(t *testing.T) {
	for s, want := range map[string]bool{
		"181693c3-0c6d-40f7-99b0-95e07f337ab8":  true,
		"181693C3-0C6D-40F7-99B0-95E07F337AB8":  true,
		"":                                      false,
		"181693c30c6d40f799b095e07f337ab8":      false,
		"181693c3-0c6d-40f7-99b0-95e07f337ab88": false,
		"181693c3-0c6d-40f7-99b0_95e07f337ab8":  false,
		"181693c-30c6d-40f7-99b0-95e07f337ab8":  false,
		"181693cg-0c6d-40f7-99b0-95e07f337ab8":  false,
	} {
		if IsUUID(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}
