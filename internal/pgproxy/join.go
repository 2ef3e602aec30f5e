package pgproxy

import (
	"net"
	"time"
)

// oneRecord is the most that TLS sends in one record.
const oneRecord = 16 << 10

// join copies both ways until both sides have ended. When one ends, the other is
// told so, and what was sent before still arrives, within drainTime towards the
// client and farewellTime towards the server. early goes first to the server. alone
// says whether this is the only session. The caller closes both.
func join(client, server net.Conn, early []byte, alone func() bool) {
	toClient, toServer := newSink(client), newSink(server)
	down, up := piecesOf(server), piecesOf(client)
	c, _ := wireUnder(client)
	s, _ := wireUnder(server)
	watch(c, s, alone)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pump(toClient, down)
		endWrite(client)
		soon := time.Now().Add(farewellTime)
		_ = client.SetReadDeadline(soon)
		_ = server.SetWriteDeadline(soon)
	}()
	if len(early) == 0 || toServer.write(early) == nil {
		pump(toServer, up)
	}
	// Either the client is done, and the server answers what it has asked; or the
	// server is, and its last words are on their way to a client still talking.
	endWrite(server)
	soon := time.Now().Add(drainTime)
	_ = server.SetReadDeadline(soon)
	_ = client.SetWriteDeadline(soon)
	discard(up)
	<-ended
}

// pump copies until src ends or dst takes no more.
func pump(dst sink, src pieces) {
	for {
		b, err := src.next()
		if len(b) > 0 {
			if werr := dst.write(b); werr != nil {
				err = werr
			}
		}
		src.done()
		if err != nil {
			return
		}
	}
}

func discard(src pieces) {
	for {
		_, err := src.next()
		src.done()
		if err != nil {
			return
		}
	}
}

// sink is where a run is written.
type sink struct {
	conn net.Conn
	wire *Wire // under TLS; else nil
}

func newSink(c net.Conn) sink {
	if w, t := wireUnder(c); t != nil {
		return sink{c, w}
	}
	return sink{conn: c}
}

// write sends b in one system call, if the socket takes it.
func (s sink) write(b []byte) error {
	if s.wire == nil || len(b) <= oneRecord {
		_, err := s.conn.Write(b)
		return err
	}
	s.wire.cork()
	_, err := s.conn.Write(b)
	if sent := s.wire.uncork(); err == nil {
		err = sent
	}
	return err
}

// endWrite says that nothing more will come: in TLS, and under it.
func endWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
	if w, t := wireUnder(c); w != nil && t != nil {
		_ = w.CloseWrite()
	}
}

// socket is what lies under TLS and Wire.
func socket(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	if w, ok := c.(*Wire); ok {
		c = w.Conn
	}
	return c
}

// keepAlive finds out about a peer that is gone without a word.
func keepAlive(c net.Conn) {
	if t, ok := socket(c).(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4})
	}
}
