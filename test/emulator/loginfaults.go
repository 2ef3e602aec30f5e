package emulator

import (
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Stage is the point of a login at which a LoginFault applies.
type Stage string

// The stages, in order. Before StageStartup nothing is encrypted; at StageHandshake
// the client waits for the server's first TLS record.
const (
	StageAccept    Stage = "accept"    // nothing was read
	StageRequest   Stage = "request"   // the request for TLS was read
	StageHandshake Stage = "handshake" // it was answered with "S"
	StageStartup   Stage = "startup"   // the start-up message was read, over TLS
	StagePassword  Stage = "password"  // the password was received and is right
	StageReady     Stage = "ready"     // AuthenticationOk was sent
)

// Stages returns every stage.
func Stages() []Stage {
	return []Stage{StageAccept, StageRequest, StageHandshake, StageStartup, StagePassword, StageReady}
}

// Action is what a LoginFault does instead of answering.
type Action string

// The actions.
const (
	ActionReset Action = "reset" // RST
	ActionClose Action = "close" // an orderly close, after Send
	ActionHang  Action = "quiet" // nothing, until the client leaves
	ActionFlood Action = "flood" // notices without end
)

// Actions returns every action.
func Actions() []Action { return []Action{ActionReset, ActionClose, ActionHang, ActionFlood} }

// LoginFault makes one login fail at one stage. Before StagePassword, the compute is
// not woken.
type LoginFault struct {
	At     Stage  // "" is StagePassword
	Times  int    // how many logins; 0 and 1: one; below 0: until the fault is removed
	Action Action // "": an ErrorResponse with the fields below

	Severity, Code, Message, Detail string // "" is FATAL, XX000
	Send                            string // bytes to send before the action
}

// inject applies f if this is its stage, and returns the error that ends the login;
// nil at any other stage.
func (g *gateway) inject(f LoginFault, stage Stage, raw, c net.Conn) error {
	if f.At != stage {
		return nil
	}
	g.record.count(func(n *Counters) { n.LoginFaults++ })
	if f.Send != "" {
		_, _ = io.WriteString(c, f.Send)
	}
	switch f.Action {
	case ActionReset:
		reset(raw)
	case ActionHang:
		_, _ = io.Copy(io.Discard, raw) // until the client closes
	case ActionFlood:
		notice, _ := (&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: strings.Repeat("again ", 1000)}).Encode(nil)
		for err := error(nil); err == nil; {
			_, err = c.Write(notice)
		}
	case ActionClose:
		finish(raw, c)
	default:
		return &refusal{orDefault(f.Severity, "FATAL"), orDefault(f.Code, "XX000"), f.Message, f.Detail}
	}
	return errors.New(string(f.Action) + " at " + string(stage))
}

// injectReady applies a fault of StageReady, once AuthenticationOk was sent.
func (g *gateway) injectReady(f LoginFault, raw, c net.Conn) error {
	if f.At != StageReady {
		return nil
	}
	_ = raw.SetDeadline(time.Now().Add(startupTimeout))
	if err := send(c, &pgproto3.AuthenticationOk{}); err != nil {
		return err
	}
	return g.inject(f, StageReady, raw, c)
}

// finish closes the writing side of c, and reads what the client still sends: closing
// with unread bytes would be a reset, which may overtake what was sent.
func finish(raw, c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, raw)
}
