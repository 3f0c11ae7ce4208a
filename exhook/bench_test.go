package exhook

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// inline is a Loop without any: the caller is the group.
type inline struct{ g *grpcrelay.Group }

func (l *inline) Do(f func(*grpcrelay.Group)) bool {
	f(l.g)
	l.g.Flush()
	return true
}

func (*inline) AddProvider(net.Conn, grpcrelay.ProviderOptions, func(*grpcrelay.Provider)) error {
	panic("not used")
}

// nowhere is a connection that takes all.
type nowhere struct{}

func (nowhere) Write([]byte) {}
func (nowhere) Backlog() int { return 0 }
func (nowhere) Close()       {}

// wire builds frames as a peer sends them.
type wire struct {
	b     bytes.Buffer
	fr    *http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func newWire() *wire {
	w := &wire{}
	w.fr = http2.NewFramer(&w.b, nil)
	w.fr.AllowIllegalWrites = true
	w.enc = hpack.NewEncoder(&w.block)
	return w
}

func (w *wire) headers(id uint32, end bool, fields ...string) {
	w.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		w.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: w.block.Bytes(), EndHeaders: true, EndStream: end})
}

func (w *wire) request(id uint32, path string, message []byte) {
	w.headers(id, false, ":scheme", "http", ":path", path, ":method", "POST", ":authority", "hooks:9000",
		"content-type", "application/grpc+proto", "user-agent", "grpc-erlang/0.1.0", "grpc-encoding", "identity",
		"te", "trailers", "grpc-timeout", "5S")
	w.fr.WriteData(id, true, framed(message))
}

func (w *wire) reply(id uint32, message []byte) {
	w.headers(id, false, ":status", "200", "content-type", "application/grpc")
	w.fr.WriteData(id, false, framed(message))
	w.headers(id, true, "grpc-status", "0")
}

// take returns what was built.
func (w *wire) take() []byte {
	b := bytes.Clone(w.b.Bytes())
	w.b.Reset()
	return b
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// straight sends every call to one provider: the relay alone.
type straight struct{ p *grpcrelay.Provider }

func (s *straight) Call(c *grpcrelay.Call)                     { c.Forward(s.p, grpcrelay.ForwardOptions{}) }
func (*straight) Forwarded(*grpcrelay.Call, grpcrelay.Outcome) {}
func (*straight) Woken(*grpcrelay.Call)                        {}
func (*straight) Late(*grpcrelay.Call)                         {}
func (*straight) Ended(*grpcrelay.Call, grpcrelay.End)         {}

// BenchmarkCall is a hook's way through relay and upstream, in memory, beside the relay alone. Three providers are there; the frames are made once.
func BenchmarkCall(b *testing.B) {
	b.Run("relay", func(b *testing.B) { benchmarkCall(b, "", "") })
	for _, policy := range []balancer.Policy{balancer.Hash, balancer.LeastConn} {
		b.Run(fmt.Sprint("upstream/", policy), func(b *testing.B) { benchmarkCall(b, policy, "") })
	}
	b.Run("upstream/topics", func(b *testing.B) { benchmarkCall(b, balancer.Hash, "site/+/alarm") })
}

func benchmarkCall(b *testing.B, policy balancer.Policy, topic string) {
	h := hook.MessagePublish
	m := hook.Method{Version: hook.V2, Hook: h}
	answer := []byte("\x08\x01")
	message := append(request(h, "a client of some length", "site/17/alarm", node1), text(99, string(make([]byte, 200)))...)

	pool := balancer.New("bench", balancer.Options{Policy: policy, MaxFails: 3})
	pool.Update([]balancer.Endpoint{{Addr: "a:1"}, {Addr: "b:1"}, {Addr: "c:1"}})
	loop := &inline{}
	u := New(Options{Name: "bench", Pool: pool, Settings: Settings{Hooks: &Hooks{}}}, loop)
	direct := &straight{}
	o := u.Relay()
	if policy == "" {
		o.Handler = direct
	}
	loop.g = grpcrelay.NewGroup(o)
	u.do(func() { u.syncMembers(time.Now()) })

	// Each provider says hello, and answers OnProviderLoaded on its stream 1.
	var servers []*grpcrelay.Provider
	var wires []*wire
	for _, l := range u.links {
		p := loop.g.Provider(nowhere{}, grpcrelay.ProviderOptions{Changed: func(p *grpcrelay.Provider) {
			u.enter()
			u.changed(l, p)
			u.leave()
		}})
		u.do(func() { u.attached(dialling{link: l}, p, time.Millisecond) })
		w := newWire()
		w.fr.WriteSettings()
		p.Receive(w.take())
		servers, wires = append(servers, p), append(wires, w)
		direct.p = p
	}
	client := loop.g.Client(nowhere{})
	in := newWire()
	in.b.WriteString(http2.ClientPreface)
	in.fr.WriteSettings()
	id := uint32(1)
	pids := []uint32{1, 1, 1}
	if policy != "" {
		in.request(id, hook.Method{Version: hook.V2, Hook: hook.ProviderLoaded}.Path(), loadedRequest(node1))
		id += 2
	}
	client.Receive(in.take())
	loop.g.Flush()
	if policy != "" {
		specs := []hook.Spec{{Name: "message.publish"}}
		if topic != "" {
			specs[0].Topics = []string{topic, "a/#", "b/#"}
		}
		for i, p := range servers {
			wires[i].reply(1, hook.AppendLoaded(nil, specs))
			p.Receive(wires[i].take())
			pids[i] = 3
		}
		loop.g.Flush()
	}
	for range 3 { // the tables of HPACK settle
		in.request(id, m.Path(), message)
		client.Receive(in.take())
		loop.g.Flush()
		for i, p := range servers {
			if p.InFlight() > 0 {
				wires[i].reply(pids[i], answer)
				p.Receive(wires[i].take())
				pids[i] += 2
			}
		}
		loop.g.Flush()
		id += 2
	}
	in.request(0, m.Path(), message)
	in.fr.WriteWindowUpdate(0, uint32(len(answer))+5)
	frames := in.take()
	var backs [][]byte
	for i := range servers {
		for range 3 {
			wires[i].reply(1, answer)
			wires[i].take()
		}
		wires[i].reply(0, answer)
		wires[i].fr.WriteWindowUpdate(0, uint32(len(message))+5)
		backs = append(backs, wires[i].take())
	}
	number := func(frames []byte, id uint32, n int) {
		for range n {
			binary.BigEndian.PutUint32(frames[5:], id)
			frames = frames[9+(int(frames[0])<<16|int(frames[1])<<8|int(frames[2])):]
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		number(frames, id, 2)
		client.Receive(frames)
		loop.g.Flush()
		id += 2
		for i, p := range servers {
			if p.InFlight() > 0 {
				number(backs[i], pids[i], 3)
				p.Receive(backs[i])
				pids[i] += 2
			}
		}
		loop.g.Flush()
	}
	if client.Closed() || !client.Idle() {
		b.Fatal("calls did not end: ", client, client.Err())
	}
}
