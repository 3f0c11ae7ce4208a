//go:build !linux

package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// loop is the event loop that only Linux has.
type loop struct{}

func (*loop) run()              {}
func (*loop) stop()             {}
func (*loop) close()            {}
func (*loop) post(message) bool { return false }

type message struct {
	conn  *Conn
	run   func()
	abort bool
	woken bool
}

func (*Relay) openLoops(int) error { return nil }

func (r *Relay) addToLoop(c, u end, o Options, done func(Result)) (Pair, error) {
	return r.addPortable(c, u, o, done), nil
}

func (r *Relay) newLoopGroup(o GroupOptions) Group { return r.newPortableGroup(o) }

func (*Relay) listenInLoop(syscall.RawConn) (*Conn, error) { return nil, errors.ErrUnsupported }
func (*Relay) acceptInLoop(*Conn) (*Conn, error)           { return nil, errors.ErrUnsupported }
func fileOf(ln *net.TCPListener) (*os.File, error)         { return ln.File() }
func (*socket) file() (*os.File, error)                    { return nil, errors.ErrUnsupported }
func (*socket) pause(time.Duration) bool                   { return false }

// socket is what a Conn of a loop has.
type socket struct {
	loop            *loop
	fd              int
	peer            netip.AddrPort
	readBy, writeBy int64
}

func (*socket) read([]byte) (int, error)                           { return 0, errors.ErrUnsupported }
func (*socket) write([]byte) (int, error)                          { return 0, errors.ErrUnsupported }
func (*socket) ahead() ([]byte, error)                             { return nil, errors.ErrUnsupported }
func (*socket) dial(string, DialOptions) (*Conn, error)            { return nil, errors.ErrUnsupported }
func (*socket) lookup(string, time.Time) ([]netip.AddrPort, error) { return nil, errors.ErrUnsupported }
func (*socket) park() error                                        { return errors.ErrUnsupported }
func (*socket) close() error                                       { return errors.ErrUnsupported }
func (*socket) closeWrite() error                                  { return errors.ErrUnsupported }
func (*socket) deadline(time.Time) int64                           { return 0 }
func (*socket) local() netip.AddrPort                              { return netip.AddrPort{} }

// left cannot be told here without reading.
func left(int) bool { return false }

func (*Relay) stuck(*loop) time.Duration { return 0 }

type watchdog struct{ relay *Relay }

func (*watchdog) look() {}
