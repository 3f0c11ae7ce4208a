package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// wire is a connection of EMQX frame by frame, to see what it must never see.
type wire struct {
	t    testing.TB
	conn net.Conn

	writing sync.Mutex
	framer  *http2.Framer
	fields  bytes.Buffer
	encoder *hpack.Encoder
	next    uint32 // stream

	mu       sync.Mutex
	open     map[uint32]bool   // calls without an answer
	statuses map[uint32]string // grpc-status
	pongs    int
	wrong    []string
	goaway   bool
	closed   chan struct{} // no more is read
}

func dialWire(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	w := &wire{
		t: t, conn: c, framer: http2.NewFramer(c, c), next: 1,
		open: map[uint32]bool{}, statuses: map[uint32]string{}, closed: make(chan struct{}),
	}
	w.encoder = hpack.NewEncoder(&w.fields)
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = c.Write([]byte(http2.ClientPreface))
	must(t, err)
	must(t, w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8000000}))
	must(t, w.framer.WriteWindowUpdate(0, 7934465))
	go func() {
		defer close(w.closed)
		w.read()
		c.Close()
	}()
	t.Cleanup(func() {
		c.Close()
		<-w.closed
	})
	return w
}

// call sends a request as EMQX does, headers and message apart.
func (w *wire) call(method, message string) {
	w.t.Helper()
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	w.open[w.next] = true
	w.mu.Unlock()
	w.fields.Reset()
	for _, f := range [][2]string{
		{":scheme", "http"}, {":path", "/emqx.exhook.v2.HookProvider/" + method}, {":method", "POST"}, {":authority", "mqedge:9000"},
		{"content-type", "application/grpc+proto"}, {"user-agent", "grpc-erlang/0.1.0"}, {"grpc-encoding", "identity"},
		{"grpc-message-type", "emqx.exhook.v2.XRequest"}, {"te", "trailers"}, {"grpc-timeout", "60S"},
	} {
		must(w.t, w.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	must(w.t, w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: w.next, BlockFragment: w.fields.Bytes(), EndHeaders: true}))
	data := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	must(w.t, w.framer.WriteData(w.next, true, append(data, message...)))
	w.next += 2
}

func (w *wire) authenticate(client string) {
	w.t.Helper()
	w.call("OnClientAuthenticate", field(1, field(1, "emqx@10.0.0.1"), field(2, client))+field(3, field(1, "emqx@10.0.0.1")))
}

func (w *wire) ping(n int) {
	w.t.Helper()
	w.writing.Lock()
	defer w.writing.Unlock()
	must(w.t, w.framer.WritePing(false, [8]byte{byte(n)}))
}

// read notes what comes until the connection ends.
func (w *wire) read() {
	for {
		f, err := w.framer.ReadFrame()
		if err != nil {
			w.mu.Lock()
			if len(w.open) > 0 {
				w.wrong = append(w.wrong, fmt.Sprintf("the connection ended with %d calls in flight: %v", len(w.open), err))
			}
			w.mu.Unlock()
			return
		}
		if w.ack(f) {
			continue
		}
		w.mu.Lock()
		w.note(f)
		w.mu.Unlock()
	}
}

// ack answers what wants an answer. What cannot be written any more has been read about.
func (w *wire) ack(f http2.Frame) bool {
	w.writing.Lock()
	defer w.writing.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			w.framer.WriteSettingsAck()
		}
		return true
	case *http2.PingFrame:
		if !f.IsAck() {
			w.framer.WritePing(true, f.Data)
			return true
		}
	}
	return false
}

func (w *wire) note(f http2.Frame) {
	switch f := f.(type) {
	case *http2.PingFrame:
		w.pongs++
	case *http2.MetaHeadersFrame:
		for _, field := range f.Fields {
			if field.Name == "grpc-status" {
				w.statuses[f.StreamID] = field.Value
			}
		}
		if f.StreamEnded() {
			delete(w.open, f.StreamID)
		}
	case *http2.DataFrame:
		if f.StreamEnded() {
			w.wrong = append(w.wrong, "an answer ends with DATA")
		}
	case *http2.RSTStreamFrame:
		w.wrong = append(w.wrong, fmt.Sprintf("RST_STREAM %v", f.ErrCode))
	case *http2.GoAwayFrame:
		w.goaway = true
		if len(w.open) > 0 || f.ErrCode != http2.ErrCodeNo {
			w.wrong = append(w.wrong, fmt.Sprintf("GOAWAY %v with %d calls in flight", f.ErrCode, len(w.open)))
		}
	}
}

// answered waits for so many answers, all good.
func (w *wire) answered(n int) {
	w.t.Helper()
	eventually(w.t, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.wrong) > 0 {
			w.t.Fatal(strings.Join(w.wrong, "; "))
		}
		if len(w.statuses) < n || len(w.open) > 0 {
			return fmt.Sprintf("%d answers of %d, %d calls in flight", len(w.statuses), n, len(w.open))
		}
		return ""
	})
	for stream, status := range w.statuses {
		if status != "0" {
			w.t.Errorf("stream %d: status %s", stream, status)
		}
	}
}

// gate holds the answers of a provider until it is opened.
type gate struct {
	*provider
	came atomic.Int32
	open chan struct{}
}

func startGate(t testing.TB, hooks ...string) *gate {
	t.Helper()
	g := &gate{provider: &provider{hooks: hooks}, open: make(chan struct{})}
	g.instead = func(stream grpc.ServerStream, method string, _ []byte) ([]byte, error) {
		g.came.Add(1)
		select {
		case <-g.open:
			return nil, nil
		case <-stream.Context().Done():
			return nil, stream.Context().Err()
		}
	}
	g.start(t, "127.0.0.1:0", nil)
	return g
}

func TestTERMAnswersEveryCallInFlightAndClosesIdleConnectionsOnly(t *testing.T) {
	t.Parallel()
	const connections, calls = 4, 8
	a, b := startGate(t, "client.authenticate"), startGate(t, "client.authenticate")
	config := strings.Replace(hooking("exhook: {}", a.provider, b.provider), "127.0.0.1:0", "127.0.0.6:0", 1) // nobody else takes the port
	e := start(t, "drain: {over: 100ms, deadline: 60s}\n"+config)
	addr := e.addr("hooks")
	if _, err := startEMQX(t, addr, "emqx@10.0.0.1", insecure.NewCredentials()).load(); err != nil {
		t.Fatal(err)
	}
	idle := dialWire(t, addr)
	var busy []*wire
	for i := range connections {
		w := dialWire(t, addr)
		for k := range calls {
			w.authenticate(fmt.Sprintf("device-%d-%d", i, k))
		}
		busy = append(busy, w)
	}
	eventually(t, func() string {
		if n := a.came.Load() + b.came.Load(); n < connections*calls {
			return fmt.Sprintf("%d calls of %d have come", n, connections*calls)
		}
		return ""
	})

	e.signal(syscall.SIGTERM)
	<-idle.closed // it has been its turn
	eventually(t, func() string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return ""
		}
		c.Close()
		return "it still listens"
	})
	busy[0].authenticate("device-late") // on a connection that is to end
	eventually(t, func() string {
		if n := a.came.Load() + b.came.Load(); n < connections*calls+1 {
			return "a call on a connection that is to end does not come"
		}
		return ""
	})
	for _, w := range busy {
		w.mu.Lock()
		if w.goaway || len(w.statuses) > 0 {
			t.Errorf("GOAWAY %v, %d answers before the providers gave one", w.goaway, len(w.statuses))
		}
		w.mu.Unlock()
	}
	close(a.open)
	close(b.open)
	for i, w := range busy {
		want := calls
		if i == 0 {
			want++
		}
		w.answered(want)
		<-w.closed
	}
	for _, w := range append(busy, idle) {
		for _, wrong := range w.wrong {
			t.Error(wrong)
		}
		if !w.goaway {
			t.Error("a connection ended without GOAWAY")
		}
	}
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestPingsOfEMQXAreAnsweredAndNeverHeldAgainstIt(t *testing.T) {
	t.Parallel()
	const pings = 2000 // EMQX sends one in a minute: more than a day's
	a := startProvider(t, "127.0.0.1:0", "client.authenticate")
	e := start(t, hooking("exhook: {}", a))
	w := dialWire(t, e.addr("hooks"))
	for i := range pings {
		w.ping(i)
	}
	eventually(t, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.pongs < pings {
			return fmt.Sprintf("%d answers to %d pings", w.pongs, pings)
		}
		return ""
	})
	w.authenticate("device")
	w.answered(1)
	if w.goaway {
		t.Error("GOAWAY")
	}
}

func TestADrainCutsNoCallThatTakesItsTime(t *testing.T) {
	t.Parallel()
	const takes = 3 * time.Second // longer than anything that is given for a farewell
	slow := &provider{hooks: []string{"client.authenticate"}}
	came := make(chan struct{}, 1)
	slow.instead = func(stream grpc.ServerStream, _ string, _ []byte) ([]byte, error) {
		came <- struct{}{}
		select {
		case <-time.After(takes):
			return nil, nil
		case <-stream.Context().Done():
			return nil, stream.Context().Err()
		}
	}
	slow.start(t, "127.0.0.1:0", nil)
	e := start(t, "drain: {over: 0s, deadline: 60s}\n"+hooking("exhook: {}", slow))
	w := dialWire(t, e.addr("hooks"))
	w.authenticate("device")
	<-came
	e.signal(syscall.SIGTERM)
	w.answered(1)
	<-w.closed
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
