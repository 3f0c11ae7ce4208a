package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

// BenchmarkRoundTrip passes a small message to the endpoint and one back, as
// they are and followed.
func BenchmarkRoundTrip(b *testing.B) {
	for _, loops := range []int{1, 0} {
		for _, size := range []int{64, 256} {
			for _, followed := range []bool{false, true} {
				name := fmt.Sprintf("loops=%d/size=%d/followed=%v", loops, size, followed)
				b.Run(name, func(b *testing.B) { roundTrips(b, loops, size, followed) })
			}
		}
	}
}

func roundTrips(b *testing.B, loops, size int, followed bool) {
	r := newRelay(b, loops)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { r.Run(ctx); close(stopped) }()
	co, ci := tcpPair(b)
	so, si := tcpPair(b)
	near, err := NewConn(ci, nil)
	must(b, err)
	far, err := NewConn(si, nil)
	must(b, err)
	var o Options
	if followed {
		o.Follow = new(mqtt.Follower)
	}
	_, err = r.Add(near, far, o, func(Result) {})
	must(b, err)
	message := []byte(publish(0, strings.Repeat("x", size)))
	got := make([]byte, len(message))
	hop := func(from, to net.Conn) {
		if _, err := from.Write(message); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(to, got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		hop(co, so)
		hop(so, co)
	}
	co.Close()
	so.Close()
	cancel()
	<-stopped
}

// BenchmarkShow is what a follower adds to that for each message.
func BenchmarkShow(b *testing.B) {
	for _, size := range []int{64, 256} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			message := []byte(publish(0, strings.Repeat("x", size)))
			var f Follower = new(mqtt.Follower)
			b.ReportAllocs()
			for b.Loop() {
				show(f, nil, client, message)
				show(f, nil, upstream, message)
			}
		})
	}
}
