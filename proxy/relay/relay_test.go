package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a relay between two peers that the test plays: client and server are
// the outer ends of the pair.
type rig struct {
	relay          *Relay
	pair           Pair
	client, server net.Conn
	result         chan Result
	dones          atomic.Int32
}

// newRig puts a pair under o between two loopback connections.
func newRig(t *testing.T, v variant, o Options) *rig {
	t.Helper()
	r := newRelay(t, v.loops)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { r.Run(ctx); close(stopped) }()

	clientOuter, clientInner := tcpPair(t)
	serverOuter, serverInner := tcpPair(t)
	c, err := NewConn(clientInner, nil)
	must(t, err)
	u, err := NewConn(serverInner, nil)
	must(t, err)

	g := &rig{relay: r, server: serverOuter, client: clientOuter, result: make(chan Result, 2)}
	var near net.Conn = c
	if v.tls != 0 {
		tc := tls.Client(clientOuter, &tls.Config{InsecureSkipVerify: true, MaxVersion: v.tls})
		shaken := make(chan error, 1)
		go func() { shaken <- tc.Handshake() }()
		near = v.handshake(t, r, c)
		must(t, <-shaken)
		g.client = tc
	}
	g.pair, err = r.Add(near, u, o, func(res Result) {
		g.dones.Add(1)
		g.result <- res
	})
	must(t, err)
	t.Cleanup(func() {
		g.client.Close()
		g.server.Close()
		g.pair.Close("test_over")
		cancel()
		<-stopped
		if n := g.dones.Load(); n != 1 {
			t.Errorf("done was called %d times", n)
		}
	})
	return g
}

func (g *rig) wait(t *testing.T) Result {
	t.Helper()
	select {
	case res := <-g.result:
		return res
	case <-time.After(20 * time.Second):
		t.Fatal("the pair did not end")
		return Result{}
	}
}

// running runs r; the function it returns ends and awaits it.
func running(t testing.TB, r *Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { r.Run(ctx); close(stopped) }()
	return func() {
		cancel()
		select {
		case <-stopped:
		case <-time.After(20 * time.Second):
			t.Error("the relay did not end")
		}
	}
}

func dialled(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func tcpPair(t testing.TB) (dialled, accepted *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	d, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	a, err := ln.Accept()
	must(t, err)
	return d.(*net.TCPConn), a.(*net.TCPConn)
}

func testCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRelay(t testing.TB, loops int) *Relay {
	t.Helper()
	r, err := New(RelayOptions{Loops: loops})
	must(t, err)
	return r
}

type closeWriter interface{ CloseWrite() error }

// variant is one way to carry a pair.
type variant struct {
	name  string
	tls   uint16 // of the client; 0 is plain TCP
	loops int
	std   bool // crypto/tls keeps the records of TLS 1.3 too
}

// handshake makes the relay's side of a handshake over c. There are no tickets,
// which a client that plays with its keys would not understand.
func (v variant) handshake(t *testing.T, r *Relay, c *Conn) net.Conn {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, SessionTicketsDisabled: true}
	if v.std {
		std := tls.Server(c, config)
		must(t, std.Handshake())
		return std
	}
	secure, state, err := r.Handshake(c, config, nil)
	must(t, err)
	if _, ours := secure.(*TLS); ours != (v.loops > 0 && state.Version == tls.VersionTLS13 && state.CipherSuite != tls.TLS_CHACHA20_POLY1305_SHA256) {
		t.Errorf("%s: the connection is a %T", v.name, secure)
	}
	return secure
}

// variants are every implementation with every transport. Where there are no
// loops the portable implementation stands in for them.
var variants = []variant{
	{name: "goroutines, plain"},
	{name: "goroutines, TLS 1.2", tls: tls.VersionTLS12},
	{name: "goroutines, TLS 1.3", tls: tls.VersionTLS13},
	{name: "loops, plain", loops: 2},
	{name: "loops, TLS 1.2", loops: 2, tls: tls.VersionTLS12},
	{name: "loops, TLS 1.3", loops: 2, tls: tls.VersionTLS13},
	{name: "loops, TLS 1.3 in crypto/tls", loops: 2, tls: tls.VersionTLS13, std: true},
}

func TestNothingIsLostEitherWayWithHalfClose(t *testing.T) {
	const size = 64 << 20
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var c Counters
			g := newRig(t, v, Options{Idle: time.Minute, Counters: &c})
			type sum = [sha256.Size]byte
			send := func(w net.Conn, seed uint64) <-chan sum {
				out := make(chan sum, 1)
				go func() {
					h := sha256.New()
					rng := mrand.New(mrand.NewPCG(seed, 1))
					random := make([]byte, 300<<10)
					mrand.NewChaCha8([32]byte{byte(seed)}).Read(random)
					for left := size; left > 0; {
						n := min(left, 1+rng.IntN(100<<10))
						chunk := random[rng.IntN(200<<10):]
						h.Write(chunk[:n])
						if _, err := w.Write(chunk[:n]); err != nil {
							t.Error(err)
						}
						left -= n
					}
					w.(closeWriter).CloseWrite()
					out <- sum(h.Sum(nil))
				}()
				return out
			}
			receive := func(r io.Reader) <-chan sum {
				out := make(chan sum, 1)
				go func() {
					h := sha256.New()
					if _, err := io.Copy(h, r); err != nil {
						t.Error(err)
					}
					out <- sum(h.Sum(nil))
				}()
				return out
			}
			up, down := send(g.client, 1), send(g.server, 2)
			upGot, downGot := receive(g.server), receive(g.client)
			if <-up != <-upGot {
				t.Error("client to server: bytes differ")
			}
			if <-down != <-downGot {
				t.Error("server to client: bytes differ")
			}
			res := g.wait(t)
			want := Result{Reason: res.Reason, FromClient: size, ToUpstream: size, FromUpstream: size, ToClient: size}
			if res != want {
				t.Errorf("result %+v, want %+v", res, want)
			}
			if c.FromClient.Load() != size || c.ToClient.Load() != size {
				t.Errorf("counters %d, %d, want %d both", c.FromClient.Load(), c.ToClient.Load(), size)
			}
		})
	}
}

func TestTheOtherDirectionOutlivesAHalfClose(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			g := newRig(t, v, Options{})
			g.client.Write([]byte("ask"))
			must(t, g.client.(closeWriter).CloseWrite())
			got, err := io.ReadAll(g.server)
			if string(got) != "ask" || err != nil {
				t.Fatalf("server got %q, %v", got, err)
			}
			g.server.Write([]byte("answer"))
			g.server.Close()
			got, err = io.ReadAll(g.client)
			if string(got) != "answer" || err != nil {
				t.Fatalf("client got %q, %v", got, err)
			}
			if res := g.wait(t); res.Reason != ClientClosed {
				t.Errorf("reason %s, want %s", res.Reason, ClientClosed)
			}
		})
	}
}

func TestBytesThatCameWithTheHandshakeGoFirst(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		go func() { r.Run(ctx); close(stopped) }()
		defer func() { cancel(); <-stopped }()

		co, ci := tcpPair(t)
		so, si := tcpPair(t)
		defer co.Close()
		defer so.Close()
		c, err := NewConn(ci, []byte("early "))
		must(t, err)
		u, err := NewConn(si, nil)
		must(t, err)
		done := make(chan Result, 1)
		_, err = r.Add(c, u, Options{}, func(res Result) { done <- res })
		must(t, err)
		co.Write([]byte("late"))
		co.Close()
		got, err := io.ReadAll(so)
		if string(got) != "early late" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		so.Close()
		<-done
	}
}

func TestAPeerThatNeverReadsEndsAtTheIdleTime(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{Idle: 300 * time.Millisecond})
			written := make(chan int64, 1)
			go func() {
				n, _ := io.Copy(g.server, neverEnding{})
				written <- n
			}()
			res := g.wait(t)
			if res.Reason != IdleTimeout {
				t.Errorf("reason %s, want %s", res.Reason, IdleTimeout)
			}
			if n := <-written; n > 64<<20 {
				t.Errorf("%d bytes were taken for a client that reads none", n)
			}
		})
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

func TestOnlyTheClientsBytesCountForAClientIdleTime(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{Idle: 300 * time.Millisecond, IdleClient: true})
			go io.Copy(io.Discard, g.client)
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						g.server.Write([]byte("still here"))
					}
				}
			}()
			if res := g.wait(t); res.Reason != IdleTimeout {
				t.Errorf("reason %s, want %s", res.Reason, IdleTimeout)
			}
		})
	}
}

func TestAnActivePairOutlivesItsIdleTime(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{Idle: 400 * time.Millisecond})
			buf := make([]byte, 1)
			for start := time.Now(); time.Since(start) < 1500*time.Millisecond; {
				g.client.Write([]byte("x"))
				_, err := io.ReadFull(g.server, buf)
				must(t, err)
				select {
				case res := <-g.result:
					t.Fatalf("ended: %+v", res)
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
}

func TestAResetReachesTheOtherEndAsAClose(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{})
			g.client.Write([]byte("last words"))
			buf := make([]byte, 10)
			_, err := io.ReadFull(g.server, buf)
			must(t, err)
			raw := g.client
			if tc, ok := raw.(*tls.Conn); ok {
				raw = tc.NetConn()
			}
			raw.(*net.TCPConn).SetLinger(0)
			raw.Close()
			g.server.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := g.server.Read(buf); n != 0 || err != io.EOF {
				t.Errorf("server read %d, %v, want EOF", n, err)
			}
			res := g.wait(t)
			if res.Reason != ClientReset || !errors.Is(res.Err, syscall.ECONNRESET) {
				t.Errorf("result %+v, want %s", res, ClientReset)
			}
		})
	}
}

func TestWhatAnEndpointSentBeforeItDiedStillArrives(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{})
			g.client.Write([]byte("unread by the server"))
			must(t, eventually(func() bool { n, _ := g.pair.Bytes(); return n > 0 }))
			g.server.Write([]byte("bye"))
			buf := make([]byte, 3)
			g.client.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err := io.ReadFull(g.client, buf)
			must(t, err)
			g.server.Close() // with bytes unread: the kernel sends RST
			if _, err := g.client.Read(buf); err != io.EOF {
				t.Errorf("client read %v, want EOF", err)
			}
			if res := g.wait(t); res.Reason != UpstreamReset {
				t.Errorf("reason %s, want %s", res.Reason, UpstreamReset)
			}
		})
	}
}

func eventually(ok func() bool) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return nil
		}
		<-time.After(time.Millisecond)
	}
	return errors.New("it did not come true within 10 s")
}

func TestLingerBoundsAClientThatDoesNotCloseAfterItsEndpointDid(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{Linger: 200 * time.Millisecond})
			g.server.Close()
			if _, err := io.ReadAll(g.client); err != nil {
				t.Error(err)
			}
			if res := g.wait(t); res.Reason != UpstreamClosed {
				t.Errorf("reason %s, want %s", res.Reason, UpstreamClosed)
			}
		})
	}
}

func TestCloseNamesTheReasonAndSendsCloseNotify(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			g := newRig(t, v, Options{})
			g.pair.Close("kicked")
			g.pair.Close("too late")
			if _, err := g.client.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("client read %v, want a clean EOF", err)
			}
			if res := g.wait(t); res.Reason != "kicked" {
				t.Errorf("reason %s, want kicked", res.Reason)
			}
		})
	}
}

func TestCloseEndsAPairWhoseClientReadsNothing(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{})
			go io.Copy(g.server, neverEnding{})
			g.stuck(t)
			g.pair.Close("kicked")
			if res := g.wait(t); res.Reason != "kicked" || res.ToClient >= res.FromUpstream {
				t.Errorf("result %+v", res)
			}
		})
	}
}

func TestObserveSeesTheEndpointsBytesUntilItHasEnough(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var seen bytes.Buffer
			g := newRig(t, v, Options{Observe: func(p []byte) bool {
				seen.Write(p)
				return seen.Len() >= 4
			}})
			buf := make([]byte, 8)
			for _, s := range []string{"ab", "cd", "ef"} {
				g.server.Write([]byte(s))
				_, err := io.ReadFull(g.client, buf[:2])
				must(t, err)
			}
			g.server.Close()
			g.client.Close()
			g.wait(t)
			if seen.String() != "abcd" {
				t.Errorf("observed %q", seen.String())
			}
		})
	}
}

func TestAddRefusesAForeignConnectionAndTakesNothing(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := newRelay(t, 0).Add(a, b, Options{}, func(Result) { t.Error("done was called") })
	if err == nil {
		t.Error("a pipe was accepted")
	}
}
