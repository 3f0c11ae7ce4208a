package grpcrelay

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// handler is a Handler of functions; nil ones do nothing.
type handler struct {
	call      func(*Call)
	forwarded func(*Call, Outcome)
	woken     func(*Call)
	late      func(*Call)
	ended     func(*Call, End)

	calls, ends int
}

func (h *handler) Call(c *Call) {
	h.calls++
	if h.call != nil {
		h.call(c)
	}
}

func (h *handler) Forwarded(c *Call, o Outcome) {
	if h.forwarded != nil {
		h.forwarded(c, o)
	}
}

func (h *handler) Woken(c *Call) {
	if h.woken != nil {
		h.woken(c)
	}
}

func (h *handler) Late(c *Call) {
	if h.late != nil {
		h.late(c)
	}
}

func (h *handler) Ended(c *Call, e End) {
	h.ends++
	if h.ended != nil {
		h.ended(c, e)
	}
}

// memory is a Writer that keeps all. stuck is its socket: full.
type memory struct {
	b      []byte
	stuck  bool
	sent   int
	closed bool
}

func (m *memory) Write(b []byte) {
	m.b = append(m.b, b...)
	if !m.stuck {
		m.sent = len(m.b)
	}
}

func (m *memory) Backlog() int { return len(m.b) - m.sent }
func (m *memory) Close()       { m.closed = true }

// end is the far end of a connection of a group, played by a test: it writes
// frames and reads what the group wrote.
type end struct {
	t     testing.TB
	g     *Group
	m     *memory
	c     driven
	out   bytes.Buffer
	fr    *http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	in    *bytes.Buffer
	dec   *hpack.Decoder
	seen  int // bytes of m.b read
}

func newEnd(t testing.TB, g *Group) *end {
	e := &end{t: t, g: g, m: &memory{}, in: &bytes.Buffer{}}
	e.fr = http2.NewFramer(&e.out, e.in)
	e.fr.AllowIllegalWrites, e.fr.AllowIllegalReads = true, true
	e.enc = hpack.NewEncoder(&e.block)
	e.dec = hpack.NewDecoder(4096, nil)
	return e
}

// aClient is a client that has said hello.
func aClient(t testing.TB, g *Group) (*end, *Client) {
	e := newEnd(t, g)
	cl := g.Client(e.m)
	e.c = cl
	e.out.WriteString(preface)
	e.fr.WriteSettings()
	e.send()
	return e, cl
}

// aProvider is a provider that has said hello.
func aProvider(t testing.TB, g *Group, settings ...http2.Setting) (*end, *Provider) {
	e := newEnd(t, g)
	p := g.Provider(e.m, ProviderOptions{Authority: "provider"})
	e.c = p
	e.fr.WriteSettings(settings...)
	e.send()
	return e, p
}

// send gives the group what was written, and flushes.
func (e *end) send() {
	b := bytes.Clone(e.out.Bytes())
	e.out.Reset()
	e.c.Receive(b)
	e.g.Flush()
}

func (e *end) fields(fields ...string) []byte {
	e.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		e.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return e.block.Bytes()
}

// headers writes HEADERS.
func (e *end) headers(id uint32, endStream bool, fields ...string) {
	e.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: e.fields(fields...), EndHeaders: true, EndStream: endStream,
	})
}

const hookPath = "/emqx.exhook.v2.HookProvider/OnClientConnect"

// request writes the request of a unary call, as EMQX does it.
func (e *end) request(id uint32, message string, more ...string) {
	e.open(id, more...)
	e.fr.WriteData(id, true, framed(message))
}

func (e *end) open(id uint32, more ...string) {
	e.headers(id, false, append([]string{
		":scheme", "http", ":path", hookPath, ":method", "POST", ":authority", "hooks:9000",
		"content-type", "application/grpc+proto", "user-agent", "grpc-erlang/0.1.0",
		"grpc-encoding", "identity", "te", "trailers",
	}, more...)...)
}

// answer writes a good answer to a unary call.
func (e *end) answer(id uint32, message string) {
	e.headers(id, false, ":status", "200", "content-type", "application/grpc")
	e.fr.WriteData(id, false, framed(message))
	e.headers(id, true, "grpc-status", "0")
}

func framed(message string) []byte {
	b := make([]byte, prefixSize, prefixSize+len(message))
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}

// got is what the group sent on one stream, or on the connection as stream 0.
type got struct {
	blocks  []map[string]string
	data    []byte
	ended   bool
	reset   *http2.ErrCode
	goaway  *http2.ErrCode
	last    uint32 // of goaway
	windows int
	pings   int
	acks    int
}

// read takes all that the group has written since the last read, by stream.
func (e *end) read() map[uint32]*got {
	e.t.Helper()
	e.g.Flush()
	b := e.m.b[e.seen:]
	e.seen = len(e.m.b)
	if _, ok := e.c.(*Provider); ok {
		b = bytes.TrimPrefix(b, []byte(preface))
	}
	e.in.Reset()
	e.in.Write(b)
	all := map[uint32]*got{}
	var block []byte
	for e.in.Len() > 0 {
		f, err := e.fr.ReadFrame()
		if err != nil {
			e.t.Fatalf("the group wrote what is no frame: %v", err)
		}
		id := f.Header().StreamID
		s := all[id]
		if s == nil {
			s = &got{}
			all[id] = s
		}
		ended := false
		switch f := f.(type) {
		case *http2.HeadersFrame:
			block = append(block[:0], f.HeaderBlockFragment()...)
			s.ended = s.ended || f.StreamEnded()
			ended = f.HeadersEnded()
		case *http2.ContinuationFrame:
			block = append(block, f.HeaderBlockFragment()...)
			ended = f.HeadersEnded()
		case *http2.DataFrame:
			s.data = append(s.data, f.Data()...)
			s.ended = s.ended || f.StreamEnded()
		case *http2.RSTStreamFrame:
			code := f.ErrCode
			s.reset = &code
		case *http2.GoAwayFrame:
			code := f.ErrCode
			s.goaway, s.last = &code, f.LastStreamID
		case *http2.WindowUpdateFrame:
			s.windows += int(f.Increment)
		case *http2.PingFrame:
			if f.IsAck() {
				s.acks++
			} else {
				s.pings++
			}
		}
		if ended {
			fields, err := e.dec.DecodeFull(block)
			if err != nil {
				e.t.Fatalf("the group wrote a block that cannot be read: %v", err)
			}
			m := map[string]string{}
			for _, f := range fields {
				m[f.Name] = f.Value
			}
			s.blocks = append(s.blocks, m)
		}
	}
	return all
}

// stream is read for one stream; it must be the only one with news.
func (e *end) stream(id uint32) *got {
	e.t.Helper()
	all := e.read()
	if s := all[id]; s != nil {
		return s
	}
	return &got{}
}

// status is what an answer ended with, empty if it has not.
func (s *got) status() string {
	if !s.ended || len(s.blocks) == 0 {
		return ""
	}
	return s.blocks[len(s.blocks)-1]["grpc-status"]
}

// rig is a group with one client, and one provider that gets all calls.
func rig(t testing.TB, o Options) (h *handler, client, provider *end, cl *Client, p *Provider) {
	h = &handler{}
	o.Handler = h
	if o.Whole == nil {
		o.Whole = func(path string) bool { return path == hookPath }
	}
	g := NewGroup(o)
	client, cl = aClient(t, g)
	provider, p = aProvider(t, g)
	client.read()
	provider.read()
	h.call = func(c *Call) {
		if err := c.Forward(p, ForwardOptions{}); err != nil {
			c.Fail(14, err.Error())
		}
	}
	return h, client, provider, cl, p
}

// pass moves time on.
func (e *end) pass(d time.Duration) {
	e.g.start = e.g.start.Add(-d)
	for range 3 {
		e.g.Tick(time.Now())
	}
	e.g.Flush()
}
