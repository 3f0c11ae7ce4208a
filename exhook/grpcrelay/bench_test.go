package grpcrelay

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// BenchmarkUnaryCall is the machine alone: a client's call comes in, goes to a
// provider, its answer comes back. Frames are made once; only stream numbers change.
func BenchmarkUnaryCall(b *testing.B) {
	for _, whole := range []bool{true, false} {
		for _, batch := range []int{1, 16} {
			b.Run(fmt.Sprintf("whole=%v/batch=%d", whole, batch), func(b *testing.B) {
				benchmarkUnary(b, whole, batch)
			})
		}
	}
}

func benchmarkUnary(b *testing.B, whole bool, batch int) {
	_, client, provider, cl, p := rig(b, Options{Whole: func(string) bool { return whole }})
	client.m, provider.m = nil, nil
	cl.writer, p.writer = nothing{}, nothing{}
	message := string(make([]byte, 300))
	request := func(id uint32) {
		client.request(id, message, "grpc-timeout", "5S")
	}
	id, pid := uint32(1), uint32(1)
	for range 3 { // fill the tables
		request(id)
		client.send()
		provider.answer(pid, message)
		provider.send()
		id, pid = id+2, pid+2
	}
	var in, back []byte
	for range batch {
		request(0)
		provider.answer(0, message)
	}
	in = append(in, client.out.Bytes()...)
	back = append(back, provider.out.Bytes()...)
	window := appendWindow(nil, 0, int64(batch*len(framed(message))))
	in, back = append(in, window...), append(back, window...)
	number := func(frames []byte, n uint32, per int) {
		for i := 0; len(frames) > len(window); i++ {
			binary.BigEndian.PutUint32(frames[5:], n+uint32(i/per*2))
			frames = frames[frameHead+frameLength(frames):]
		}
	}
	g := cl.group
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		number(in, id, 2)
		cl.Receive(in)
		g.Flush()
		number(back, pid, 3)
		p.Receive(back)
		g.Flush()
		id, pid = id+uint32(2*batch), pid+uint32(2*batch)
	}
	if cl.closed || p.closed || cl.live != 0 || len(p.streams) != 0 {
		b.Fatal("calls did not end", cl.closed, p.closed, cl.live)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/call")
}

type nothing struct{}

func (nothing) Write([]byte) {}
func (nothing) Backlog() int { return 0 }
func (nothing) Close()       {}
