package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	mostStreams   = 256 // from others at the same time
	dialTimeout   = 5 * time.Second
	biggestPacket = 64 << 10
	receiveBuffer = 2 << 20 // of the UDP socket: a busy moment must not lose what others say
)

// sockets are where bytes come from and go to.
type sockets struct {
	streams net.Listener
	packets net.PacketConn
	dial    func(ctx context.Context, addr string) (net.Conn, error)
}

// openSockets binds TCP and UDP to the same port.
func openSockets(bind netip.AddrPort) (sockets, error) {
	for attempt := 1; ; attempt++ {
		streams, err := net.Listen("tcp", bind.String())
		if err != nil {
			return sockets{}, err
		}
		port := streams.Addr().(*net.TCPAddr).Port
		packets, err := net.ListenPacket("udp", netip.AddrPortFrom(bind.Addr(), uint16(port)).String())
		if err == nil {
			_ = packets.(*net.UDPConn).SetReadBuffer(receiveBuffer) // less will do
			return sockets{streams, packets, dialTCP}, nil
		}
		streams.Close()
		if bind.Port() != 0 || attempt == 10 { // a port that is free for TCP may be taken for UDP
			return sockets{}, err
		}
	}
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func (s sockets) close() {
	s.streams.Close()
	s.packets.Close()
}

// transport carries memberlist's bytes, and counts them. It is memberlist's own NetTransport but for this: it drops
// what comes from addresses outside of the allow list before anything looks at it, bounds the streams, does not take 64 KiB for
// each packet, and leaves nothing open when it ends.
type transport struct {
	sockets
	advertise netip.AddrPort
	allow     allowList
	refusals  *refusals

	packetCh chan *memberlist.Packet
	streamCh chan net.Conn
	ctx      context.Context // ends with Shutdown
	end      context.CancelFunc
	wg       sync.WaitGroup

	in, out atomic.Uint64 // bytes

	mu       sync.Mutex
	accepted map[*stream]bool
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func newTransport(s sockets, advertise netip.AddrPort, allow allowList, r *refusals) *transport {
	t := &transport{
		sockets:   s,
		advertise: advertise,
		allow:     allow,
		refusals:  r,
		packetCh:  make(chan *memberlist.Packet),
		streamCh:  make(chan net.Conn),
		accepted:  make(map[*stream]bool),
	}
	t.ctx, t.end = context.WithCancel(context.Background())
	return t
}

// start begins to receive; Shutdown ends it.
func (t *transport) start() {
	t.wg.Go(t.receive)
	t.wg.Go(t.accept)
}

func (t *transport) receive() {
	buffer := make([]byte, biggestPacket)
	for {
		n, from, err := t.packets.ReadFrom(buffer)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) || t.ctx.Err() != nil {
			return
		}
		if err != nil {
			t.pause()
			continue
		}
		if n == 0 || !t.admits(from) {
			continue
		}
		t.in.Add(uint64(n))
		packet := &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: from, Timestamp: now}
		select {
		case t.packetCh <- packet:
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *transport) accept() {
	for {
		conn, err := t.streams.Accept()
		if errors.Is(err, net.ErrClosed) || t.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // like a lack of file descriptors
			t.pause()
			continue
		}
		s := t.track(conn)
		if s == nil {
			conn.Close()
			continue
		}
		select {
		case t.streamCh <- s:
		case <-t.ctx.Done():
			s.Close()
			return
		}
	}
}

func (t *transport) pause() {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-t.ctx.Done():
	}
}

// track returns nil when the stream is not wanted.
func (t *transport) track(conn net.Conn) *stream {
	if !t.admits(conn.RemoteAddr()) {
		return nil
	}
	s := &stream{Conn: conn, transport: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.accepted) >= mostStreams {
		t.refusals.add(refusedTooMany, "streams, one from "+conn.RemoteAddr().String())
		return nil
	}
	t.accepted[s] = true
	return s
}

func (t *transport) admits(from net.Addr) bool {
	addr, err := netip.ParseAddrPort(from.String())
	if err != nil || !t.allow.contains(addr.Addr().Unmap()) {
		t.refusals.add(refusedAddress, "gossip from "+from.String())
		return false
	}
	return true
}

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, err
	}
	if !t.allow.contains(to.Addr().Unmap()) {
		return time.Time{}, fmt.Errorf("%s is not in gossip.allow", to)
	}
	n, err := t.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	t.out.Add(uint64(n))
	return time.Now(), err
}

func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if !t.allow.contains(to.Addr().Unmap()) {
		return nil, fmt.Errorf("%s is not in gossip.allow", to)
	}
	ctx, cancel := context.WithTimeout(t.ctx, min(timeout, dialTimeout))
	defer cancel()
	conn, err := t.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, transport: t}
	s.stop = context.AfterFunc(t.ctx, func() { conn.Close() })
	return s, nil
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

func (t *transport) StreamCh() <-chan net.Conn { return t.streamCh }

// Shutdown ends everything that goes through the transport. It may be called more than once.
func (t *transport) Shutdown() error {
	t.end()
	t.close()
	t.mu.Lock()
	for s := range t.accepted {
		s.Conn.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}

// stream is a connection whose bytes are counted.
type stream struct {
	net.Conn
	transport *transport
	stop      func() bool // of a stream that was dialled
}

func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.transport.in.Add(uint64(n))
	return n, err
}

func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.transport.out.Add(uint64(n))
	return n, err
}

func (s *stream) Close() error {
	if s.stop != nil {
		s.stop()
	} else {
		s.transport.mu.Lock()
		delete(s.transport.accepted, s)
		s.transport.mu.Unlock()
	}
	return s.Conn.Close()
}
