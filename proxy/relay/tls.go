package relay

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/mqedge/mqedge/proxy/relay/record"
)

// TLS is the server's side of a TLS 1.3 connection after its handshake.
// crypto/tls made that and was let go of: its tls.Conn would hold 4 KiB for as
// long as the connection lives. Like a [Conn] it is blocking until it is handed
// to [Relay.Add], and for one reader and one writer that take turns.
type TLS struct {
	*Conn
	rec   *record.State
	work  record.Work
	plain []byte // received, not read yet
	err   error  // what follows plain
}

// Handshake makes the server's part of a TLS handshake over c, within the
// deadline that c has. The connection it returns takes the place of c: a [*TLS]
// where the relay has loops and the handshake led to TLS 1.3, else a *tls.Conn.
// Sessions resume by ticket keys that were set or that GetConfigForClient
// brings; those that crypto/tls would make by itself last for one handshake.
//
// Unless it is nil, full is called once in a handshake that resumes no session,
// before what is costly of it: a signature, or the decryption of a key. It may
// wait by [Conn.Park], and set another deadline. Its error ends the handshake.
func (r *Relay) Handshake(c *Conn, config *tls.Config, full func() error) (net.Conn, tls.ConnectionState, error) {
	h := hooks{full: full}
	if len(r.loops) == 0 {
		std := tls.Server(c, h.on(config))
		err := std.Handshake()
		return std, std.ConnectionState(), err
	}
	h.keys = new(trafficKeys)
	cut := &cutter{}
	c.cut = cut
	std := tls.Server(c, h.on(config))
	err := std.Handshake()
	c.cut = nil
	state := std.ConnectionState()
	if err != nil || state.Version != tls.VersionTLS13 {
		return std, state, err
	}
	rec, err := record.New(record.Secrets{Suite: state.CipherSuite, Read: h.keys.client, Write: h.keys.server})
	if err != nil {
		return std, state, nil // it goes on in crypto/tls
	}
	rec.SkipWritten(cut.written)
	return &TLS{Conn: c, rec: rec}, state, nil
}

func (t *TLS) Read(p []byte) (int, error) {
	for len(t.plain) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		if err := t.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.plain)
	t.plain = t.plain[n:]
	return n, nil
}

// receive waits for bytes and opens the records that they complete. Its error
// is one after which reading may go on.
func (t *TLS) receive() error {
	b := t.Conn.unread
	t.Conn.unread = nil
	if len(b) == 0 {
		var err error
		b, err = t.Conn.ahead()
		switch {
		case isTimeout(err):
			return err
		case err == io.EOF && t.rec.Partial():
			t.err = io.ErrUnexpectedEOF
			return nil
		case err != nil:
			t.err = err
			return nil
		}
	}
	t.plain, t.err = t.rec.Open(t.plain[:0], b, &t.work)
	if len(t.work.Reply) > 0 {
		t.Conn.Write(t.work.Reply)
		t.work.Reply = nil
	}
	return nil
}

func (t *TLS) Write(p []byte) (int, error) {
	if _, err := t.Conn.Write(t.rec.Seal(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite sends close_notify (RFC 8446 section 6.1).
func (t *TLS) CloseWrite() error {
	_, err := t.Conn.Write(t.rec.CloseNotify(nil))
	return err
}
