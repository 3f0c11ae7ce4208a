package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const fleetSize = 48

// fleet is the devices and what they noticed.
type fleet struct {
	edge    *net.TCPAddr
	devices []*device
	quiet   atomic.Bool // nobody publishes
	retired atomic.Bool // nobody connects again
	running sync.WaitGroup
	cancel  context.CancelFunc

	mu     sync.Mutex
	states []state
	ledger *ledger
}

// state is what a device knows of its latest connection.
type state struct {
	id           string
	connections  int // so far
	connected    bool
	addr         netip.AddrPort // its own
	tls          uint16
	mqtt         byte
	since, until time.Time
}

// newFleet makes the devices, which do nothing yet. They differ, as devices do:
// every fourth knows nothing newer than TLS 1.2, every second speaks MQTT 3.1.1.
func newFleet(edge *net.TCPAddr, roots *x509.CertPool) *fleet {
	f := &fleet{edge: edge, cancel: func() {}, states: make([]state, fleetSize), ledger: newLedger()}
	for i := range fleetSize {
		d := &device{
			fleet: f, index: i, id: fmt.Sprintf("device-%02d", i+1), version: 5, leave: make(chan struct{}, 1),
			tls: &tls.Config{RootCAs: roots, ServerName: "localhost"},
		}
		if ip := fmt.Sprintf("127.0.1.%d", i+1); loopback(ip) == ip {
			d.source = &net.TCPAddr{IP: net.ParseIP(ip)}
		}
		if i%4 == 3 {
			d.tls.MaxVersion = tls.VersionTLS12
		}
		if i%2 == 1 {
			d.version = 4
		}
		f.states[i] = state{id: d.id, mqtt: d.version}
		f.devices = append(f.devices, d)
	}
	return f
}

// start has them connect.
func (f *fleet) start() {
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	for _, d := range f.devices {
		f.running.Go(func() { d.run(ctx) })
	}
}

// loopback gives the address back if this host has it, as Linux has all of
// 127.0.0.0/8, and else the one that every host has.
func loopback(ip string) string {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close()
	return ip
}

// before is whose messages the device receives, after whose receiver it is.
func (f *fleet) before(index int) int { return (index + fleetSize - 1) % fleetSize }
func (f *fleet) after(index int) int  { return (index + 1) % fleetSize }

func (f *fleet) opened(index int, c *client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.states[index]
	s.connections++
	s.connected, s.since = true, time.Now()
	s.addr, s.tls = c.conn.LocalAddr().(*net.TCPAddr).AddrPort(), c.conn.ConnectionState().Version
}

func (f *fleet) ended(index int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[index].connected, f.states[index].until = false, time.Now()
	f.ledger.disconnected(index)
}

func (f *fleet) published(sender int, id uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	both := f.states[sender].connected && f.states[f.after(sender)].connected
	f.ledger.published(message{sender, id}, f.after(sender), both, time.Now())
}

func (f *fleet) acknowledged(sender int, id uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledger.acknowledged(message{sender, id})
}

func (f *fleet) delivered(sender int, id uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledger.delivered(message{sender, id}, time.Now())
}

// snapshot is the state of each device.
func (f *fleet) snapshot() []state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.states)
}

// messages are the counts and the latencies, device to device.
func (f *fleet) messages(now time.Time) (t tally, p50, p99 time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.tally(now), f.ledger.latency.quantile(0.5), f.ledger.latency.quantile(0.99)
}

func (f *fleet) pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.pending()
}

// reconnect makes every n-th device, from first on, disconnect and come back. It
// returns which.
func (f *fleet) reconnect(first, n int) []int {
	var who []int
	for i := first; i < fleetSize; i += n {
		select {
		case f.devices[i].leave <- struct{}{}:
		default: // told already
		}
		who = append(who, i)
	}
	return who
}

// close ends all devices and waits for them.
func (f *fleet) close() {
	f.retired.Store(true)
	f.cancel()
	f.running.Wait()
}

func connected(states []state) int {
	n := 0
	for _, s := range states {
		if s.connected {
			n++
		}
	}
	return n
}
