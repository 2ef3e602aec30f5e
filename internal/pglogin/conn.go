package pglogin

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
	"github.com/lakebase-exec/lakebase-exec/internal/sanitize"
)

// Conn is a connection that has logged in and is idle.
type Conn struct {
	net.Conn
	PID        uint32
	SecretKey  []byte // for a cancel request
	Parameters map[string]string
	TxStatus   byte
	Pending    []byte // messages that came beside the login, not read by anybody yet
}

// handover bounds the reading of a message that had begun when the login ended.
const handover = 5 * time.Second

// open makes one attempt and keeps the connection.
func open(ctx context.Context, t Target, cfg *pgconn.Config, password credential.Secret, wrap func(net.Conn) net.Conn) (*Conn, error) {
	cfg = cfg.Copy()
	var pending []byte
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { pending = appendNotice(pending, n) }
	conn, raw, err := connect(ctx, t, cfg, password, wrap)
	if err != nil {
		return nil, err
	}
	h, err := conn.Hijack()
	if err != nil {
		_ = raw.Close()
		return nil, &Error{Kind: Other, Message: sanitize.Line(err.Error()), cause: err}
	}
	if pending, err = settle(h, pending); err != nil {
		_ = raw.Close()
		return nil, classify(ctx, err, raw, password)
	}
	_ = h.Conn.SetDeadline(time.Time{})
	raw.done.Store(true)
	return &Conn{Conn: h.Conn, PID: h.PID, SecretKey: h.SecretKey, Parameters: maps.Clone(h.ParameterStatuses), TxStatus: h.TxStatus, Pending: pending}, nil
}

// settle adds to pending what the server has said since. Where a write takes long,
// pgconn reads in the background; such a read would outlive the login and take the
// first answer from whoever has the connection next. A deadline that is over ends
// it, and Receive waits for that end.
func settle(h *pgconn.HijackedConn, pending []byte) ([]byte, error) {
	for {
		_ = h.Conn.SetReadDeadline(time.Unix(1, 0))
		m, err := h.Frontend.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if h.Frontend.ReadBufferLen() == 0 {
				return pending, nil
			}
			_ = h.Conn.SetReadDeadline(time.Now().Add(handover))
			m, err = h.Frontend.Receive()
		}
		if err != nil {
			return nil, err
		}
		if pending, err = m.Encode(pending); err != nil {
			return nil, err
		}
	}
}

// appendNotice writes a notice as the server had sent it.
func appendNotice(to []byte, n *pgconn.Notice) []byte {
	out, err := (&pgproto3.NoticeResponse{Severity: n.Severity, SeverityUnlocalized: n.SeverityUnlocalized, Code: n.Code, Message: n.Message,
		Detail: n.Detail, Hint: n.Hint, Position: n.Position, InternalPosition: n.InternalPosition, InternalQuery: n.InternalQuery, Where: n.Where,
		SchemaName: n.SchemaName, TableName: n.TableName, ColumnName: n.ColumnName, DataTypeName: n.DataTypeName, ConstraintName: n.ConstraintName,
		File: n.File, Line: n.Line, Routine: n.Routine}).Encode(to)
	if err != nil {
		return to
	}
	return out
}

// Numbers of the protocol (PostgreSQL manual, "Message Formats").
const (
	sslRequest    = 80877103
	cancelRequest = 80877102
)

// Cancel asks the server of t to cancel what the connection with this id and key
// is doing. The server gives no answer: that it closes the connection says that
// it has read the request. ctx must have a deadline; trust may be nil. Errors: *Error.
func Cancel(ctx context.Context, t Target, trust *Trust, pid uint32, key []byte) error {
	if err := t.check(); err != nil {
		return err
	}
	cfg, err := t.tls(trust)
	if err != nil {
		return err
	}
	host := t.Host
	if t.HostAddr != "" {
		host = t.HostAddr
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(t.Port)))
	if err != nil {
		return classify(ctx, err, nil, credential.Secret{})
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	w := &watched{Conn: c}
	if err := sendCancel(w, cfg, pid, key); err != nil {
		return classify(ctx, err, w, credential.Secret{})
	}
	return nil
}

func sendCancel(c net.Conn, cfg *tls.Config, pid uint32, key []byte) error {
	if _, err := c.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return &Error{Kind: TLSRefused, Message: "the server offers no TLS for a cancel request"}
	}
	encrypted := tls.Client(c, cfg)
	text := binary.BigEndian.AppendUint32(nil, uint32(12+len(key)))
	text = binary.BigEndian.AppendUint32(text, cancelRequest)
	text = append(binary.BigEndian.AppendUint32(text, pid), key...)
	if _, err := encrypted.Write(text); err != nil {
		return err
	}
	_, _ = encrypted.Read(answer[:]) // until it is closed: the request has been read
	return nil
}
