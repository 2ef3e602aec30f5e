package pgproxy

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Limits and codes of the startup phase, from PostgreSQL's pqcomm.h.
const (
	maxStartupPacket = 10_000 // MAX_STARTUP_PACKET_LENGTH: without the length field
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

// packet is a packet of the startup phase.
type packet struct {
	kind    packetKind
	minor   uint32            // startupPacket: minor version of protocol 3
	params  map[string]string // startupPacket: includes user and database
	options []string          // startupPacket: names of protocol options (_pq_.*)
	cancel  pgproto3.CancelRequest
}

// readPacket reads a packet of the startup phase.
func (s *session) readPacket() (packet, error) {
	for {
		p, n, want, err := parsePacket(s.buf)
		if err != nil {
			return p, err
		}
		if n > 0 {
			s.buf = s.buf[n:]
			return p, nil
		}
		if err := s.read(want); err != nil {
			return p, err
		}
	}
}

func violation(text string) *ServerError { return &ServerError{Code: "08P01", Message: text} }

func unsupported(version uint32) *ServerError {
	return &ServerError{Code: "0A000", Message: fmt.Sprintf(
		"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version>>16, version&0xffff)}
}

// parsePacket parses the packet at the start of b and returns its length n. If b is
// too short, n is 0, and want the length that b must at least have.
func parsePacket(b []byte) (p packet, n, want int, err error) {
	if len(b) < 4 {
		return p, 0, 4, nil
	}
	length := binary.BigEndian.Uint32(b)
	if length < 8 || length > maxStartupPacket+4 {
		return p, 0, 0, violation("invalid length of startup packet")
	}
	n = int(length)
	if len(b) < 8 {
		return p, 0, n, nil
	}
	// An unsupported version is rejected before the rest of the packet arrives.
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
		err = p.parseParams(b[8:n])
	}
	return p, n, n, err
}

// parseParams parses pairs of strings, terminated by an empty name.
func (p *packet) parseParams(b []byte) error {
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
