package pgproxy

import (
	"encoding/binary"
	"fmt"
	"slices"
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

func violation(text string) *ServerError { return &ServerError{Code: "08P01", Message: text} }

func unsupported(version uint32) *ServerError {
	return &ServerError{Code: "0A000", Message: fmt.Sprintf(
		"unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version>>16, version&0xffff)}
}

// readPacket reads a packet of the startup phase.
func (s *session) readPacket() (p packet, err error) {
	if err := s.fill(8); err != nil {
		return p, err
	}
	length, code := binary.BigEndian.Uint32(s.buf), binary.BigEndian.Uint32(s.buf[4:])
	const lengthError = "invalid length of startup packet"
	if length < 8 || length > maxStartupPacket+4 {
		return p, violation(lengthError)
	}
	switch {
	case code == codeSSL:
		p.kind = sslPacket
	case code == codeGSS:
		p.kind = gssPacket
	case code == codeCancel:
		p.kind = cancelPacket
	case code>>16 == 3:
		p.kind, p.minor = startupPacket, code&0xffff
	default: // rejected before the rest of the packet arrives
		return p, unsupported(code)
	}
	if (p.kind == sslPacket || p.kind == gssPacket) && length != 8 {
		return p, violation(lengthError)
	}
	if err := s.fill(int(length)); err != nil {
		return p, err
	}
	b := s.buf[4:length]
	s.buf = s.buf[length:]
	switch p.kind {
	case cancelPacket:
		if p.cancel.Decode(b) != nil {
			return p, violation("invalid length of query cancel packet")
		}
	case startupPacket:
		err = p.decodeParams(b)
	}
	return p, err
}

// decodeParams decodes the parameters of a startup message.
func (p *packet) decodeParams(b []byte) error {
	binary.BigEndian.PutUint32(b, pgproto3.ProtocolVersion30) // Decode accepts few minor versions
	var m pgproto3.StartupMessage
	err := m.Decode(b)
	if _, unnamed := m.Parameters[""]; unnamed || err != nil {
		return violation("invalid startup packet layout: expected terminator as last byte")
	}
	p.params = m.Parameters
	for name := range p.params {
		if strings.HasPrefix(name, "_pq_.") {
			p.options = append(p.options, name)
			delete(p.params, name)
		}
	}
	slices.Sort(p.options)
	if p.params["user"] == "" {
		return &ServerError{Code: "28000", Message: "no PostgreSQL user name specified in startup packet"}
	}
	if p.params["database"] == "" {
		p.params["database"] = p.params["user"]
	}
	return nil
}
