package relay

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// The benchmarks are round trips of 200 bytes on loopback, most of which is the
// peers' work and the kernel's. One peer waits for each answer, 64 at once share
// the turns of a loop.

var benchVariants = []variant{
	{name: "goroutines/plain"},
	{name: "loops/plain", loops: 1},
	{name: "loops/TLS13", loops: 1, tls: tls.VersionTLS13},
	{name: "loops/TLS12", loops: 1, tls: tls.VersionTLS12},
}

func benchSizes(b *testing.B, f func(b *testing.B, v variant, peers int)) {
	for _, v := range benchVariants {
		for _, p := range []struct {
			name string
			n    int
		}{{"one", 1}, {"64", 64}} {
			b.Run(v.name+"/"+p.name, func(b *testing.B) { f(b, v, p.n) })
		}
	}
}

// exchanges has all of conns ask and wait until b.N answers came.
func exchanges(b *testing.B, conns []net.Conn) {
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			buf := make([]byte, 200)
			for n := i; n < b.N; n += len(conns) {
				c.Write(buf)
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
}

// benchEnd returns the inner end of a connection whose outer end is asked, or
// echoes.
func benchEnd(b *testing.B, r *Relay, v variant, asked bool) (inner net.Conn, outer net.Conn) {
	o, i := tcpPair(b)
	c, err := NewConn(i, nil)
	if err != nil {
		b.Fatal(err)
	}
	if !asked {
		go func() { io.Copy(struct{ io.Writer }{o}, struct{ io.Reader }{o}); o.Close() }()
		return c, o
	}
	if v.tls == 0 {
		return c, o
	}
	tc := tls.Client(o, &tls.Config{InsecureSkipVerify: true, MaxVersion: v.tls})
	go tc.Handshake()
	near, _, err := r.Handshake(c, &tls.Config{Certificates: []tls.Certificate{testCertificate(b)}, SessionTicketsDisabled: true}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return near, tc
}

func BenchmarkPair(b *testing.B) {
	benchSizes(b, func(b *testing.B, v variant, peers int) {
		r := newRelay(b, v.loops)
		defer running(b, r)()
		var asking []net.Conn
		for range peers {
			near, c := benchEnd(b, r, v, true)
			far, _ := benchEnd(b, r, v, false)
			if _, err := r.Add(near, far, Options{}, func(Result) {}); err != nil {
				b.Fatal(err)
			}
			asking = append(asking, c)
		}
		exchanges(b, asking)
		for _, c := range asking {
			c.Close()
		}
	})
}
