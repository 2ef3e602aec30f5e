package pgproxy

import (
	"encoding/binary"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
)

// raw is a packet with the length that it has.
func raw(version uint32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(b, version), body...)
}

func TestParsePacket(t *testing.T) {
	b := raw(3<<16, "user\x00robot\x00options\x00-c a=b\x00replication\x00database\x00\x00")
	p, n, _, bad := parsePacket(append(b, "more"...))
	if bad != nil || n != len(b) || p.kind != startupPacket || p.minor != 0 {
		t.Fatalf("%+v, %d bytes, %v", p, n, bad)
	}
	if diff := cmp.Diff(map[string]string{"user": "robot", "database": "robot", "options": "-c a=b", "replication": "database"}, p.params); diff != "" {
		t.Error(diff)
	}
	p, _, _, bad = parsePacket(raw(3<<16|2, "_pq_.a\x00x\x00database\x00shop\x00user\x00u\x00_pq_.b\x00\x00\x00"))
	if bad != nil || p.minor != 2 || p.params["database"] != "shop" || len(p.params) != 2 {
		t.Fatalf("%+v, %v", p, bad)
	}
	if diff := cmp.Diff([]string{"_pq_.a", "_pq_.b"}, p.options); diff != "" {
		t.Error(diff)
	}
	for kind, b := range map[packetKind][]byte{sslPacket: request(codeSSL), gssPacket: request(codeGSS), cancelPacket: raw(codeCancel, "12345678")} {
		if p, n, _, bad := parsePacket(b); p.kind != kind || n != len(b) || bad != nil {
			t.Errorf("kind %d: %+v, %d, %v", kind, p, n, bad)
		}
	}
}

func TestParsePacketAsksForMore(t *testing.T) {
	whole := raw(3<<16, "user\x00robot\x00\x00")
	for i := range whole {
		if _, n, want, bad := parsePacket(whole[:i]); bad != nil || n >= len(whole) && want <= i || n > 0 && n <= i || want <= i {
			t.Errorf("of %d bytes: %d taken, %d wanted, %v", i, n, want, bad)
		}
	}
	if _, n, _, bad := parsePacket(whole); n != len(whole) || bad != nil {
		t.Errorf("the whole: %d, %v", n, bad)
	}
}

func TestParsePacketRefuses(t *testing.T) {
	const layout = "invalid startup packet layout: expected terminator as last byte"
	const length = "invalid length of startup packet"
	full := "user\x00robot\x00options\x00"
	full += strings.Repeat("x", maxStartupPacket-4-len(full)-2) + "\x00\x00"
	if _, _, _, bad := parsePacket(raw(3<<16, full)); bad != nil || len(full) != maxStartupPacket-4 {
		t.Fatalf("the longest packet: %v", bad)
	}
	for _, c := range []struct {
		name, code, text string
		b                []byte
	}{
		{"a length of 0", "08P01", length, make([]byte, 4)},
		{"a length of 7", "08P01", length, []byte{0, 0, 0, 7, 0, 0, 0}},
		{"1 GiB", "08P01", length, []byte{0x40, 0, 0, 0}},
		{"a negative length", "08P01", length, []byte{0xff, 0xff, 0xff, 0xff}},
		{"one byte too long", "08P01", length, raw(3<<16, full+"\x00")[:8]},
		{"HTTP", "08P01", length, []byte("GET / HTTP/1.1\r\n")},
		{"TLS", "08P01", length, []byte("\x16\x03\x01\x02\x00")},
		{"protocol 2.0", "0A000", "unsupported frontend protocol 2.0: server supports 3.0 to 3.0", raw(2<<16, "x")[:8]},
		{"protocol 4.1", "0A000", "unsupported frontend protocol 4.1: server supports 3.0 to 3.0", raw(4<<16|1, "")},
		{"no terminator", "08P01", layout, raw(3<<16, "user\x00robot\x00")},
		{"no value", "08P01", layout, raw(3<<16, "user\x00robot\x00database\x00")},
		{"bytes behind the terminator", "08P01", layout, raw(3<<16, "user\x00robot\x00\x00x")},
		{"pairs behind the terminator", "08P01", layout, raw(3<<16, "user\x00robot\x00\x00a\x00b\x00\x00")},
		{"nothing", "08P01", layout, raw(3<<16, "")},
		{"no user", "28000", "no PostgreSQL user name specified in startup packet", raw(3<<16, "database\x00shop\x00\x00")},
		{"an empty user", "28000", "no PostgreSQL user name specified in startup packet", raw(3<<16, "user\x00\x00\x00")},
		{"a long SSLRequest", "08P01", length, raw(codeSSL, "x")},
		{"a short cancel", "08P01", "invalid length of query cancel packet", raw(codeCancel, "1234")},
		{"a long cancel", "08P01", "invalid length of query cancel packet", raw(codeCancel, strings.Repeat("k", 300))},
	} {
		if _, _, _, bad := parsePacket(c.b); bad == nil || bad.Code != c.code || bad.Message != c.text {
			t.Errorf("%s: %v", c.name, bad)
		}
	}
}

func FuzzStartup(f *testing.F) {
	f.Add(raw(3<<16, "user\x00robot\x00database\x00shop\x00\x00"))
	f.Add(raw(3<<16|2, "user\x00r\x00_pq_.x\x001\x00\x00tail"))
	f.Add(request(codeSSL))
	f.Add(request(codeGSS))
	f.Add(raw(codeCancel, "\x00\x00\x00\x01abcd"))
	f.Add([]byte{0x40, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, n, want, bad := parsePacket(b)
		switch {
		case bad != nil:
			if len(bad.Code) != 5 || bad.Message == "" {
				t.Fatalf("an error without words: %+v", bad)
			}
			return
		case n == 0 || n > len(b):
			if want <= len(b) || want > maxStartupPacket+4 {
				t.Fatalf("%d bytes wanted of %d", want, len(b))
			}
			return
		case p.kind != startupPacket:
			return
		}
		if p.params["user"] == "" || p.params["database"] == "" {
			t.Fatalf("let through: %v", p.params)
		}
		again, err := (&pgproto3.StartupMessage{ProtocolVersion: 3 << 16, Parameters: p.params}).Encode(nil)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if len(again) > maxStartupPacket+4 {
			return // the database was filled in
		}
		q, _, _, bad := parsePacket(again)
		if bad != nil || !maps.Equal(p.params, q.params) {
			t.Fatalf("%v became %v, %v", p.params, q.params, bad)
		}
	})
}
