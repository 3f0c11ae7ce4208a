package grpcrelay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// lateWriter is a connection to a provider that is lost at the moment at which a
// call has reached it: the write has not returned yet when the reader hears of it.
type lateWriter struct {
	net.Conn
	reached chan struct{} // closed when the provider has the call
	stopped chan struct{} // closed when the write may return
	in      chan []byte
}

func (c *lateWriter) Read(b []byte) (int, error) {
	select {
	case settings := <-c.in:
		return copy(b, settings), nil
	case <-c.reached:
		return 0, io.EOF
	}
}

func (c *lateWriter) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("question")) {
		close(c.reached)
		<-c.stopped
	}
	return len(b), nil
}

func (c *lateWriter) SetWriteDeadline(time.Time) error { close(c.stopped); return nil }
func (c *lateWriter) SetDeadline(time.Time) error      { return nil }
func (c *lateWriter) Close() error                     { return nil }

func TestACallThatReachedAProviderWhoseConnectionIsLostDuringTheWriteCountsAsSent(t *testing.T) {
	outcomes := make(chan Outcome, 1)
	h := &handler{}
	h.forwarded = func(_ *Call, o Outcome) { outcomes <- o }
	d := NewDriver(Options{Handler: h})
	nc := &lateWriter{reached: make(chan struct{}), stopped: make(chan struct{}), in: make(chan []byte, 1)}
	nc.in <- appendFrameHead(nil, 0, frameSettings, 0, 0)
	ready := make(chan *Provider, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		d.ServeProvider(nc, ProviderOptions{Changed: func(p *Provider) {
			if p.Ready() {
				ready <- p
			}
		}}, nil)
	}()
	p := <-ready
	d.Do(func(g *Group) {
		client, _ := aClient(t, g)
		h.call = func(c *Call) {
			if err := c.Forward(p, ForwardOptions{}); err != nil {
				t.Error(err)
			}
		}
		client.request(1, "question")
		client.send()
	})
	if o := <-outcomes; o.Code != codes.Unavailable || !o.Sent || o.Unprocessed {
		t.Errorf("outcome is %+v", o)
	}
	<-served
}
