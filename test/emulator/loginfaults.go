package emulator

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Stage is a point of a login at which a LoginFault happens.
type Stage string

// The stages, in their order. Before StageStartup nothing is encrypted, unless
// it is StageHandshake, where the client waits for the server's first record.
const (
	StageAccept    Stage = "accept"    // nothing was read
	StageRequest   Stage = "request"   // the request for TLS was read
	StageHandshake Stage = "handshake" // it was answered with "S"
	StageStartup   Stage = "startup"   // the start-up message was read, over TLS
	StagePassword  Stage = "password"  // the password was asked for and is right
	StageReady     Stage = "ready"     // AuthenticationOk was sent
)

// Stages lists every stage.
func Stages() []Stage {
	return []Stage{StageAccept, StageRequest, StageHandshake, StageStartup, StagePassword, StageReady}
}

// Deed is what a LoginFault does in place of an answer.
type Deed string

// The deeds.
const (
	DeedReset Deed = "reset" // RST
	DeedClose Deed = "close" // an orderly end, after Send
	DeedQuiet Deed = "quiet" // nothing, until the client leaves
	DeedFlood Deed = "flood" // notices without end
)

// Deeds lists every deed.
func Deeds() []Deed { return []Deed{DeedReset, DeedClose, DeedQuiet, DeedFlood} }

// LoginFault spoils one login at one stage. The compute behind is not asked, nor
// woken, before StagePassword.
type LoginFault struct {
	At    Stage // "" is StagePassword
	Times int   // how many logins; 0 and 1: one; below 0: until the fault is removed
	Deed  Deed  // "": an ErrorResponse with what follows

	Severity, Code, Message, Detail string // "" is FATAL, XX000
	Send                            string // these bytes come before the deed, as they are
}

// at is the error that ends a login where its fault happens, after the deed; nil
// anywhere else.
func (f LoginFault) at(stage Stage, raw, c net.Conn) error {
	if f.At != stage {
		return nil
	}
	if f.Send != "" {
		_, _ = io.WriteString(c, f.Send)
	}
	switch f.Deed {
	case DeedReset:
		reset(raw)
	case DeedQuiet:
		// The rest of what the client sends is read, so that its leaving is seen.
		_, _ = io.Copy(io.Discard, raw)
	case DeedFlood:
		notice, _ := (&pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000", Message: strings.Repeat("again ", 1000)}).Encode(nil)
		for err := error(nil); err == nil; {
			_, err = c.Write(notice)
		}
	case DeedClose:
		finish(raw, c)
	default:
		return &refusal{orDefault(f.Severity, "FATAL"), orDefault(f.Code, "XX000"), f.Message, f.Detail}
	}
	return errors.New(string(f.Deed) + " at " + string(stage))
}

// takeLogin uses up one turn of the first fault; the zero one happens nowhere.
func (b *settingsStore) takeLogin() LoginFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.now.LoginFaults) == 0 {
		return LoginFault{}
	}
	f := b.now.LoginFaults[0]
	switch {
	case f.Times > 1:
		b.now.LoginFaults[0].Times--
	case f.Times >= 0:
		b.now.LoginFaults = slices.Delete(slices.Clone(b.now.LoginFaults), 0, 1)
	}
	f.At = Stage(orDefault(string(f.At), string(StagePassword)))
	return f
}

// finish describes that no more comes, and reads what the client still sends: closing
// over unread bytes would be a reset, which overtakes what was said.
func finish(raw, c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, raw)
}

// readyFault happens once the client has heard AuthenticationOk.
func (f LoginFault) readyFault(raw, c net.Conn) error {
	if f.At != StageReady {
		return nil
	}
	_ = raw.SetDeadline(time.Now().Add(startupTimeout))
	if err := send(c, &pgproto3.AuthenticationOk{}); err != nil {
		return err
	}
	return f.at(StageReady, raw, c)
}
