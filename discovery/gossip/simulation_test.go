package gossip

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
)

// memory is a network in memory. Packets take no time and are lost only when a receiver has thousands waiting.
type memory struct {
	mu    sync.Mutex
	hosts map[string]*memoryHost
}

type memoryHost struct {
	network *memory
	addr    net.Addr
	packets chan memoryPacket
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

type memoryPacket struct {
	b    []byte
	from net.Addr
}

func (m *memory) open(bind netip.AddrPort) (sockets, error) {
	h := &memoryHost{
		network: m,
		addr:    net.UDPAddrFromAddrPort(bind),
		packets: make(chan memoryPacket, 1024),
		streams: make(chan net.Conn, 1024),
		closed:  make(chan struct{}),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hosts[bind.String()] = h
	return sockets{memoryListener{h}, memoryPackets{h}, h.dial}, nil
}

func (m *memory) host(addr string) *memoryHost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hosts[addr]
}

func (h *memoryHost) Close() error {
	h.once.Do(func() {
		close(h.closed)
		h.network.mu.Lock()
		delete(h.network.hosts, h.addr.String())
		h.network.mu.Unlock()
	})
	return nil
}

func (h *memoryHost) dial(ctx context.Context, addr string) (net.Conn, error) {
	to := h.network.host(addr)
	if to == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case to.streams <- memoryConn{far, h.addr}:
		return memoryConn{near, to.addr}, nil
	case <-to.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryConn struct {
	net.Conn
	peer net.Addr
}

func (c memoryConn) RemoteAddr() net.Addr { return c.peer }

type memoryListener struct{ *memoryHost }

func (l memoryListener) Addr() net.Addr { return l.addr }
func (l memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.streams:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

type memoryPackets struct{ *memoryHost }

func (p memoryPackets) LocalAddr() net.Addr              { return p.addr }
func (p memoryPackets) SetDeadline(time.Time) error      { return nil }
func (p memoryPackets) SetReadDeadline(time.Time) error  { return nil }
func (p memoryPackets) SetWriteDeadline(time.Time) error { return nil }

func (p memoryPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case packet := <-p.packets:
		return copy(b, packet.b), packet.from, nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p memoryPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if h := p.network.host(to.String()); h != nil {
		select {
		case h.packets <- memoryPacket{append([]byte(nil), b...), p.addr}:
		default:
		}
	}
	return len(b), nil
}

// simulation is a cluster in a bubble, where time passes only when nobody has anything to do: what is measured does not depend on
// the machine.
type simulation struct {
	t       *testing.T
	network *memory
	keys    string
	nodes   []*running
}

func (s *simulation) start(endpoints int) *running {
	i := len(s.nodes)
	ip := netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)})
	o := Options{Name: fmt.Sprintf("host%d", i), Bind: netip.AddrPortFrom(ip, 7946).String(), KeyFile: s.keys, Label: "mqedge", open: s.network.open,
		tune: func(*memberlist.Config) {}, rejoin: rejoinInterval}
	if i > 0 {
		o.Join = []string{"10.0.0.1:7946"}
	}
	n := start(s.t, o)
	var set []Announcement
	for port := range endpoints {
		set = append(set, Announcement{Service: "emqx", Addr: fmt.Sprintf(":%d", 20000+port)})
	}
	must(s.t, n.Announce(set))
	s.nodes = append(s.nodes, n)
	return n
}

// until lets time pass until all nodes are as they should be, and returns how long it took.
func (s *simulation) until(what string, limit time.Duration, good func(*running) bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	behind := append([]*running(nil), s.nodes...)
	for {
		var rest []*running
		for _, n := range behind {
			n.mu.Lock()
			if !good(n) {
				rest = append(rest, n)
			}
			n.mu.Unlock()
		}
		if behind = rest; len(behind) == 0 {
			took := time.Since(began)
			s.t.Logf("%s: %v", what, took)
			return took
		}
		if time.Since(began) > limit {
			s.t.Fatalf("%s: %d of %d nodes are not there after %v", what, len(behind), len(s.nodes), limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *simulation) traffic() (total uint64) {
	for _, n := range s.nodes {
		total += n.transport.in.Load() + n.transport.out.Load()
	}
	return total
}

func (s *simulation) run(count, each int) {
	for i := range count {
		s.start(each)
		if i%10 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	all := func(n *running) bool {
		return n.catalog.living == count-1 && n.catalog.offers+len(n.catalog.own.offers) == count*each
	}
	s.until(fmt.Sprintf("%d members with %d endpoints started within %v", count, count*each, time.Duration(count/10)*20*time.Millisecond), 10*time.Minute, all)

	time.Sleep(time.Minute)
	before, busy := s.traffic(), cpu(s.t)
	time.Sleep(2 * time.Minute)
	s.t.Logf("at rest: for each member %.0f bytes in and out and %v of a processor a second, and %d KiB of memory", float64(s.traffic()-before)/float64(count)/120,
		(cpu(s.t)-busy)/time.Duration(count)/120, heap()/uint64(count)>>10)

	before = s.traffic()
	late := s.start(each)
	took := s.until("a join", time.Minute, func(n *running) bool {
		return n == late || n.catalog.sets[late.name] != nil && n.catalog.alive(late.name)
	})
	s.t.Logf("  %d bytes for each member until then", (s.traffic()-before)/uint64(count))
	s.until("  and it knows all", time.Minute, func(n *running) bool { return n != late || n.catalog.offers == count*each })
	if took > 30*time.Second {
		s.t.Errorf("a join took %v", took)
	}

	must(s.t, s.nodes[1].Announce(many(500)))
	s.until("500 endpoints of one host", time.Minute, func(n *running) bool {
		set := n.catalog.sets[s.nodes[1].name]
		return n == s.nodes[1] || len(set.offers) == 500
	})
	one := many(500)
	one[3].Health = Down
	changed, err := one[3].offer(netip.Addr{})
	must(s.t, err)
	must(s.t, s.nodes[1].Announce(one))
	s.until("one of them changes", time.Minute, func(n *running) bool {
		if n == s.nodes[1] {
			return true
		}
		return n.catalog.sets[s.nodes[1].name].offers[changed.place()].health == Down
	})

	gone := s.nodes[2]
	s.nodes = append(s.nodes[:2:2], s.nodes[3:]...)
	go gone.Leave(context.Background())
	took = s.until("a leave", time.Minute, func(n *running) bool { return n.catalog.sets[gone.name].left })
	if took > 10*time.Second {
		s.t.Errorf("a leave took %v", took)
	}
	time.Sleep(10 * time.Second)

	dead := s.nodes[2]
	s.nodes = append(s.nodes[:2:2], s.nodes[3:]...)
	dead.kill()
	s.until("a death", 3*time.Minute, func(n *running) bool { return !n.catalog.alive(dead.name) })
	for _, n := range s.nodes {
		if got := n.Stats().Members; got != len(s.nodes) {
			s.t.Fatalf("%s has %d members, want %d: somebody alive was taken for dead", n.name, got, len(s.nodes))
		}
	}
	for _, n := range append(s.nodes, gone) {
		n.end()
	}
	time.Sleep(time.Minute) // for the last of memberlist's timers: time stops when the test returns
}

// cpu is the time that all members together have used, which the bubble does not change. Sockets are not in it: there are none.
func cpu(t *testing.T) time.Duration {
	var used syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// heap is what all members together hold.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A thousand take up to an hour on two busy cores, and gigabytes:
//
//	go test -v -run TestManyMembersAgree -members 1000 -timeout 90m ./discovery/gossip
var simulated = flag.Int("members", 50, "how many members TestManyMembersAgree has, with 5 endpoints each")

func TestManyMembersAgree(t *testing.T) {
	keys := keyFile(t, key('k'))
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, network: &memory{hosts: make(map[string]*memoryHost)}, keys: keys}
		s.run(*simulated, 5)
	})
}
