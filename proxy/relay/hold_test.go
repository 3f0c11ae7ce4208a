package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// holding is an acceptor that counts whom it took and echoes what they send.
type holding struct {
	relay    *Relay
	acceptor *Acceptor
	addr     string
	taken    atomic.Int32
	ended    chan struct{}
}

func newHolding(t *testing.T, loops int) *holding {
	t.Helper()
	h := &holding{relay: newRelay(t, loops), ended: make(chan struct{})}
	stopped := running(t, h.relay)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	h.addr = ln.Addr().String()
	h.acceptor, err = h.relay.Acceptor(ln.(*net.TCPListener))
	must(t, err)
	t.Cleanup(stopped)
	return h
}

func (h *holding) run() {
	go func() {
		defer close(h.ended)
		h.acceptor.Run(func() {
			for {
				c, err := h.acceptor.Accept()
				if err != nil {
					return
				}
				h.taken.Add(1)
				h.relay.Go(c, func() {
					defer c.Close()
					io.Copy(c, c)
				})
			}
		})
	}()
}

func (h *holding) close(t *testing.T) {
	t.Helper()
	h.acceptor.Close()
	select {
	case <-h.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the acceptor did not end")
	}
}

func answered(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	must(t, err)
}

func TestWhileARelayHoldsNobodyIsAcceptedAndThoseThatAreThereGoOn(t *testing.T) {
	for _, loops := range []int{0, 1, 2} {
		h := newHolding(t, loops)
		h.run()
		before := dialled(t, h.addr)
		answered(t, before)
		h.relay.Hold(true)
		var waiting []net.Conn
		for range 5 {
			c := dialled(t, h.addr) // the kernel queues it
			_, err := c.Write([]byte("y"))
			must(t, err)
			waiting = append(waiting, c)
		}
		for range 200 {
			answered(t, before)
		}
		for _, c := range waiting { // all of them have waited for longer than accepting takes
			c.SetReadDeadline(time.Now().Add(3 * holdLook / 2))
			if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d loops: %d bytes, %v", loops, n, err)
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
		}
		if n := h.taken.Load(); n != 1 {
			t.Errorf("%d loops: %d were taken", loops, n)
		}
		h.relay.Hold(false)
		for _, c := range waiting {
			_, err := io.ReadFull(c, make([]byte, 1))
			must(t, err)
			c.Close()
		}
		before.Close()
		h.close(t)
	}
}

func TestAnAcceptorThatIsHeldEndsAtOnceWhenItIsClosed(t *testing.T) {
	for _, loops := range []int{0, 1} {
		h := newHolding(t, loops)
		h.relay.Hold(true)
		h.run()
		c := dialled(t, h.addr)
		c.SetReadDeadline(time.Now().Add(holdLook))
		c.Read(make([]byte, 1)) // time for the acceptor to have it in hand
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		h.close(t)
		if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d loops: %d bytes, %v; it should be gone", loops, n, err)
		}
		if h.taken.Load() != 0 {
			t.Errorf("%d loops: it was taken", loops)
		}
	}
}
