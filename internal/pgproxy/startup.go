package pgproxy

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Bounds and codes of the start-up, from PostgreSQL's pqcomm.h.
const (
	maxStartupPacket = 10_000 // MAX_STARTUP_PACKET_LENGTH: without the length itself
	codeCancel       = 1234<<16 | 5678
	codeSSL          = 1234<<16 | 5679
	codeGSS          = 1234<<16 | 5680
)

type packetKind int

const (
	startupPacket packetKind = iota + 1
	sslPacket
	gssPacket
	cancelPacket
)

// packet is one of the packets that a connection may begin with.
type packet struct {
	kind    packetKind
	minor   uint32            // startupPacket: of protocol 3
	params  map[string]string // startupPacket: user and database are there
	options []string          // startupPacket: names that begin with _pq_.
	cancel  pgproto3.CancelRequest
}

func violation(text string) *ServerError { return &ServerError{Code: "08P01", Message: text} }

func unsupported(version uint32) *ServerError {
	return &ServerError{Code: "0A000", Message: fmt.Sprintf(
		"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version>>16, version&0xffff)}
}

// parsePacket reads the packet at the beginning of b and says how long it is. A
// length of 0 asks for more bytes, of which want are needed at the least.
func parsePacket(b []byte) (p packet, n, want int, bad *ServerError) {
	if len(b) < 4 {
		return p, 0, 4, nil
	}
	body := binary.BigEndian.Uint32(b)
	if body < 8 || body > maxStartupPacket+4 {
		return p, 0, 0, violation("invalid length of startup packet")
	}
	n = int(body)
	if len(b) < 8 {
		return p, 0, n, nil
	}
	// A wrong version is told before the rest has come.
	code := binary.BigEndian.Uint32(b[4:])
	switch {
	case code == codeSSL:
		p.kind = sslPacket
	case code == codeGSS:
		p.kind = gssPacket
	case code == codeCancel:
		p.kind = cancelPacket
	case code>>16 == 3:
		p.kind, p.minor = startupPacket, code&0xffff
	default:
		return p, 0, 0, unsupported(code)
	}
	if p.kind != startupPacket && p.kind != cancelPacket && n != 8 {
		return p, 0, 0, violation("invalid length of startup packet")
	}
	if len(b) < n {
		return p, 0, n, nil
	}
	switch p.kind {
	case cancelPacket:
		if p.cancel.Decode(b[4:n]) != nil {
			return p, 0, 0, violation("invalid length of query cancel packet")
		}
	case startupPacket:
		bad = p.readParams(b[8:n])
	}
	return p, n, n, bad
}

// readParams reads pairs of strings up to an empty name, which must be the end.
func (p *packet) readParams(b []byte) *ServerError {
	rest := string(b)
	p.params = map[string]string{}
	for {
		name, after, ok := strings.Cut(rest, "\x00")
		if ok && name == "" && after == "" {
			break
		}
		value, after, ok := strings.Cut(after, "\x00")
		if !ok || name == "" {
			return violation("invalid startup packet layout: expected terminator as last byte")
		}
		if strings.HasPrefix(name, "_pq_.") {
			p.options = append(p.options, name)
		} else {
			p.params[name] = value
		}
		rest = after
	}
	if p.params["user"] == "" {
		return &ServerError{Code: "28000", Message: "no PostgreSQL user name specified in startup packet"}
	}
	if p.params["database"] == "" {
		p.params["database"] = p.params["user"]
	}
	return nil
}
