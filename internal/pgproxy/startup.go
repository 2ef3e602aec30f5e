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

// packet is a packet of the startup phase.
type packet struct {
	code    uint32            // codeCancel, codeSSL, codeGSS, or the version of protocol 3
	params  map[string]string // of a startup message: includes user and database
	options []string          // of a startup message: names of protocol options (_pq_.*)
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
	length := binary.BigEndian.Uint32(s.buf)
	p.code = binary.BigEndian.Uint32(s.buf[4:])
	startup := p.code>>16 == 3
	switch {
	case length < 8 || length > maxStartupPacket+4 || (p.code == codeSSL || p.code == codeGSS) && length != 8:
		return p, violation("invalid length of startup packet")
	case !startup && p.code != codeSSL && p.code != codeGSS && p.code != codeCancel:
		return p, unsupported(p.code) // before the rest of the packet arrives
	}
	if err := s.fill(int(length)); err != nil {
		return p, err
	}
	b := s.buf[4:length]
	s.buf = s.buf[length:]
	if startup {
		return p, p.decodeParams(b)
	}
	if p.code == codeCancel && p.cancel.Decode(b) != nil {
		return p, violation("invalid length of query cancel packet")
	}
	return p, nil
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
