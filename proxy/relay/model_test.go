package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/relay/record"
)

// The model of a relay is simple: what arrives is a prefix of what was sent,
// and all of it where nobody broke off.

// stream is the bytes that one end sends: a function of the offset, so that any
// piece can be checked by itself.
func stream(seed uint64, offset, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x := (uint64(offset+i) + seed) * 0x9E3779B97F4A7C15
		b[i] = byte(x >> 56)
	}
	return b
}

// chopped cuts every write into pieces, so that TLS records and whatever else
// arrive in fragments.
type chopped struct {
	net.Conn
	rng *rand.Rand
}

func (c *chopped) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		most := 5000
		if c.rng.IntN(2) == 0 {
			most = 40
		}
		n, err := c.Conn.Write(p[written:min(len(p), written+1+c.rng.IntN(most))])
		written += n
		if err != nil {
			return written, err
		}
		if c.rng.IntN(8) == 0 {
			<-time.After(time.Duration(c.rng.IntN(300)) * time.Microsecond)
		}
	}
	return written, nil
}

func (c *chopped) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// player is one outer end of a pair, with what it is going to do.
type player struct {
	conn  net.Conn
	raw   *net.TCPConn
	seed  uint64
	total int  // bytes to send
	reset bool // break off after half of them
	slow  bool // rests while it reads
	other *player
}

// play sends and receives, and returns how much came.
func (p *player) play(t *testing.T, rng *rand.Rand) (received int, clean bool) {
	var sending sync.WaitGroup
	sendRng := rand.New(rand.NewPCG(rng.Uint64(), 1))
	sending.Go(func() {
		for sent := 0; sent < p.total; {
			n := min(p.total-sent, 1+sendRng.IntN(1<<(1+sendRng.IntN(17))))
			if _, err := p.conn.Write(stream(p.seed, sent, n)); err != nil {
				return
			}
			sent += n
			if p.reset && sent > p.total/2 {
				p.raw.SetLinger(0)
				p.raw.Close()
				return
			}
			if sendRng.IntN(16) == 0 {
				<-time.After(time.Duration(sendRng.IntN(2000)) * time.Microsecond)
			}
		}
		p.conn.(closeWriter).CloseWrite()
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buf[:1+rng.IntN(len(buf))])
		if !bytes.Equal(buf[:n], stream(p.other.seed, received, n)) {
			t.Errorf("bytes %d to %d are not what was sent", received, received+n)
			err = io.ErrNoProgress
		}
		received += n
		if err != nil {
			sending.Wait()
			return received, err == io.EOF
		}
		if p.slow && rng.IntN(4) == 0 {
			<-time.After(time.Duration(rng.IntN(3000)) * time.Microsecond)
		}
	}
}

func TestWhatArrivesIsWhatWasSentWhateverHappens(t *testing.T) {
	const pairs = 40
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, v.loops)
			stopped := running(t, r)
			var all sync.WaitGroup
			for i := range pairs {
				all.Go(func() { playPair(t, r, v, uint64(i)) })
			}
			all.Wait()
			stopped()
			if n := r.Live(); n != 0 {
				t.Errorf("%d pairs are left", n)
			}
		})
	}
}

// rekeyer is a client that changes its keys, and asks for a change of the
// other's, in the middle of everything.
type rekeyer struct {
	TLS
	out     io.Writer
	writing sync.Mutex // taken before mu
	mu      sync.Mutex // of the State and its answers
	rng     *rand.Rand
	asks    int // how many changes of the other's keys it may still ask for
}

// mostAsks keeps the answers of a peer that has nothing else to send from being
// too many records without payload.
const mostAsks = 12

func (r *rekeyer) Read(p []byte) (int, error) {
	buf := make([]byte, 8<<10)
	for len(r.plain) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		r.mu.Lock()
		r.plain, r.err = r.rec.Open(r.plain[:0], buf[:n], &r.work)
		r.mu.Unlock()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// Write sends what Read has to answer first. It does not keep Read waiting
// while it waits itself.
func (r *rekeyer) Write(p []byte) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	b := r.work.Reply
	r.work.Reply = nil
	if r.rng.IntN(3) == 0 {
		ask := r.asks > 0 && r.rng.IntN(2) == 0
		if ask {
			r.asks--
		}
		b = r.rec.KeyUpdate(b, ask)
	}
	if r.rng.IntN(5) == 0 {
		r.rec.Sleep()
	}
	b = r.rec.Seal(b, p)
	r.mu.Unlock()
	if _, err := r.out.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (r *rekeyer) CloseWrite() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	b := r.rec.CloseNotify(r.work.Reply)
	r.mu.Unlock()
	r.out.Write(b)
	return r.Conn.CloseWrite()
}

// modelClient makes the outer end of a client over co, by v's TLS where it has
// some, and the relay's end over near.
func modelClient(t *testing.T, r *Relay, v variant, seed uint64, co *net.TCPConn, near *Conn) (outer, inner net.Conn) {
	if v.tls == 0 {
		return &chopped{co, rand.New(rand.NewPCG(seed, 7))}, near
	}
	own, err := NewConn(co, nil)
	must(t, err)
	var keys trafficKeys
	own.cut = &cutter{}
	std := tls.Client(own, &tls.Config{InsecureSkipVerify: true, MaxVersion: v.tls, KeyLogWriter: &keys})
	shaken := make(chan error, 1)
	go func() { shaken <- std.Handshake() }()
	inner = v.handshake(t, r, near)
	must(t, <-shaken)
	own.cut = nil
	state := std.ConnectionState()
	rec, err := record.New(record.Secrets{Suite: state.CipherSuite, Read: keys.server, Write: keys.client})
	if err != nil || state.Version != tls.VersionTLS13 || seed%2 != 0 {
		return std, inner
	}
	k := &rekeyer{TLS: TLS{Conn: own, rec: rec}, out: &chopped{co, rand.New(rand.NewPCG(seed, 7))}, rng: rand.New(rand.NewPCG(seed, 8))}
	if v.loops > 0 { // crypto/tls loses the read key when it cannot answer any more
		k.asks = mostAsks
	}
	return k, inner
}

func playPair(t *testing.T, r *Relay, v variant, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 42))
	co, ci := tcpPair(t)
	so, si := tcpPair(t)
	if rng.IntN(2) == 0 { // small buffers: writes are often not taken
		for _, c := range []*net.TCPConn{co, ci, so, si} {
			c.SetReadBuffer(64 << 10)
			c.SetWriteBuffer(64 << 10)
		}
	}
	near, err := NewConn(ci, nil)
	must(t, err)
	far, err := NewConn(si, nil)
	must(t, err)
	c := &player{conn: co, raw: co, seed: 2*seed + 1, total: rng.IntN(2 << 20), slow: rng.IntN(3) == 0}
	s := &player{conn: so, raw: so, seed: 1e6 * (2*seed + 2), total: rng.IntN(2 << 20), slow: rng.IntN(3) == 0}
	c.other, s.other = s, c
	switch rng.IntN(6) {
	case 0:
		c.reset = true
	case 1:
		s.reset = true
	}
	var client net.Conn
	c.conn, client = modelClient(t, r, v, seed, co, near)
	done := make(chan Result, 2)
	_, err = r.Add(client, far, Options{Idle: time.Minute}, func(res Result) { done <- res })
	must(t, err)

	var both sync.WaitGroup
	var fromServer, fromClient int
	var serverClean, clientClean bool
	both.Go(func() { fromServer, clientClean = c.play(t, rand.New(rand.NewPCG(seed, 3))) })
	both.Go(func() { fromClient, serverClean = s.play(t, rand.New(rand.NewPCG(seed, 4))) })
	both.Wait()
	co.Close()
	so.Close()
	var res Result
	select {
	case res = <-done:
	case <-time.After(30 * time.Second):
		t.Errorf("pair %d did not end", seed)
		return
	}
	what := fmt.Sprintf("pair %d (%+v): client got %d of %d, server got %d of %d, result %+v",
		seed, []bool{c.reset, s.reset}, fromServer, s.total, fromClient, c.total, res)
	if res.ToClient > res.FromUpstream || res.ToUpstream > res.FromClient || res.FromClient > uint64(c.total) {
		t.Error("counts make no sense:", what)
	}
	if c.reset || s.reset {
		return // what came was a prefix, which is all that can be asked
	}
	if !clientClean || !serverClean || fromServer != s.total || fromClient != c.total {
		t.Error("something is missing:", what)
	}
	want := Result{Reason: res.Reason, FromClient: uint64(c.total), ToUpstream: uint64(c.total), FromUpstream: uint64(s.total), ToClient: uint64(s.total)}
	if res != want {
		t.Error("counts are wrong:", what)
	}
}
