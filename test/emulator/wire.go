package emulator

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Codes that a start-up packet carries in place of a protocol version
// (PostgreSQL manual, "Message Formats").
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
	cancelRequest = 80877102
)

// Packets of a start-up are read to the byte, never ahead: what follows an
// SSLRequest belongs to TLS, and what follows a login is only joined.
const (
	maxStartup = 10_000  // PostgreSQL's MAX_STARTUP_PACKET_LENGTH
	maxMessage = 1 << 20 // more than any message before the joining
)

var errProtocol = errors.New("not a PostgreSQL start-up packet")

// readStartup reads one packet without a type byte: its code and all its bytes,
// length included.
func readStartup(r io.Reader) (code uint32, packet []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 8 || n > maxStartup {
		return 0, nil, errProtocol
	}
	packet = make([]byte, n)
	copy(packet, head[:])
	if _, err := io.ReadFull(r, packet[4:]); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(packet[4:]), packet, nil
}

// readMessage reads one typed message whole.
func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxMessage {
		return 0, nil, errProtocol
	}
	message = make([]byte, 1+n)
	copy(message, head[:])
	if _, err := io.ReadFull(r, message[5:]); err != nil {
		return 0, nil, err
	}
	return head[0], message, nil
}

// send writes one message.
func send(w io.Writer, m pgproto3.BackendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// refusal is an ErrorResponse that ends a login.
type refusal struct {
	severity, code, message, detail string
}

func (e *refusal) Error() string { return e.message }

func (e *refusal) response() *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: e.severity, SeverityUnlocalized: e.severity, Code: e.code, Message: e.message, Detail: e.detail}
}
