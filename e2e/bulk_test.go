package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

const bulk = 64 << 20

// stream is bulk bytes that no mistake leaves alike.
func stream(seed byte) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), bulk)
}

func digest(t testing.TB, r io.Reader) []byte {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil || n != bulk {
		t.Errorf("%d bytes, want %d: %v", n, bulk, err)
	}
	return h.Sum(nil)
}

func Test64MiBGoEachWayAtOnceThroughTLSIntact(t *testing.T) {
	t.Parallel()
	const up, down = 1, 2
	pki := newAuthority(t)
	arrived := make(chan []byte, 1)
	node := startFake(t, func(c net.Conn) {
		sum := make(chan []byte)
		go func() { sum <- digest(t, c) }()
		if _, err := io.Copy(c, stream(down)); err != nil {
			t.Error(err)
		}
		c.(*net.TCPConn).CloseWrite()
		arrived <- <-sum
	})
	e := start(t, fmt.Sprintf(opaque, pki.server().yaml(), endpoints(node.address())))

	c := dialTLS(t, e.addr("tls"), pki.trusting())
	sent := make(chan error)
	go func() {
		_, err := io.Copy(c, stream(up))
		c.CloseWrite()
		sent <- err
	}()
	if got := digest(t, c); !bytes.Equal(got, digest(t, stream(down))) {
		t.Error("what the client received is not what the endpoint sent")
	}
	must(t, <-sent)
	if !bytes.Equal(<-arrived, digest(t, stream(up))) {
		t.Error("what the endpoint received is not what the client sent")
	}
	line := e.awaitAccess("listener", "tls")
	for _, field := range []string{"bytes_sent", "bytes_received", "upstream_bytes_sent", "upstream_bytes_received"} {
		if line[field] != float64(bulk) {
			t.Errorf("access log: %s is %v", field, line[field])
		}
	}
	e.awaitMetric(`mqedge_bytes_total{direction="in",listener="tls"}`, bulk)
	e.awaitMetric(`mqedge_bytes_total{direction="out",listener="tls"}`, bulk)
}

func TestAPeerThatNeverReadsHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	node := startFake(t, func(c net.Conn) {
		go io.Copy(io.Discard, c)
		io.Copy(c, stream(1)) // ends when the connection does
	})
	e := start(t, fmt.Sprintf(opaque, pki.server().yaml(), endpoints(node.address())))
	deaf := dialTLS(t, e.addr("tls"), pki.trusting())
	eventually(t, func() string { // until nothing more fits in the buffers on the way
		before := e.listener("tls").BytesOut
		if before == 0 || e.listener("tls").BytesOut != before {
			return "bytes still move"
		}
		return ""
	})
	other := dialTLS(t, e.addr("tls"), pki.trusting())
	if got := digest(t, other); !bytes.Equal(got, digest(t, stream(1))) {
		t.Error("the other client received something else")
	}
	must(t, other.Close())
	must(t, deaf.NetConn().Close())
	e.awaitActive("tls", 0)
}
