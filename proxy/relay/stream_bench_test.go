package relay

import (
	"net"
	"testing"
)

// BenchmarkGroup sends requests from streams of clients to one stream of a
// server, and the answers, which come in order, back.
func BenchmarkGroup(b *testing.B) {
	benchSizes(b, func(b *testing.B, v variant, peers int) {
		r := newRelay(b, v.loops)
		defer running(b, r)()
		group := r.NewGroup(GroupOptions{})
		var server Stream
		var asked []Stream // by what the server has to answer
		missing := 0       // bytes of the answer to the first
		far, _ := benchEnd(b, r, v, false)
		group.Add(far, func(s Stream) Handler {
			server = s
			return benchHandler{s, func(_ Stream, p []byte) {
				for len(p) > 0 {
					if missing == 0 {
						missing = 200
					}
					n := min(missing, len(p))
					asked[0].Write(p[:n])
					p = p[n:]
					if missing -= n; missing == 0 {
						asked = append(asked[:0], asked[1:]...)
					}
				}
			}}
		})
		var asking []net.Conn
		for range peers {
			near, c := benchEnd(b, r, v, true)
			group.Add(near, func(s Stream) Handler {
				return benchHandler{s, func(s Stream, p []byte) {
					server.Write(p)
					asked = append(asked, s)
				}}
			})
			asking = append(asking, c)
		}
		exchanges(b, asking)
		for _, c := range asking {
			c.Close()
		}
		group.Do(func() { server.Close() })
	})
}

type benchHandler struct {
	Stream
	receive func(Stream, []byte)
}

func (h benchHandler) Receive(p []byte) { h.receive(h.Stream, p) }
func (h benchHandler) Drained()         {}
func (h benchHandler) Ended(error)      {}
