package proxy

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// park opens n connections that are served and do nothing.
func park(t *testing.T, r *rig, n int) []*net.TCPConn {
	t.Helper()
	out := make([]*net.TCPConn, n)
	for i := range out {
		out[i] = r.dial(t)
		send(t, out[i], []byte("x"))
		receive(t, out[i], 1)
	}
	return out
}

func TestADrainClosesEvenlyOverTheTime(t *testing.T) {
	const n, over = 100, 1500 * time.Millisecond
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	conns := park(t, r, n)
	start := time.Now()
	ends := make([]time.Duration, n)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			io.Copy(io.Discard, c)
			ends[i] = time.Since(start)
		})
	}
	Drain(t.Context(), []*Listener{r.Listener}, over)
	took := time.Since(start)
	all.Wait()
	if took < over*9/10 || took > over+time.Second {
		t.Errorf("took %v, want %v", took, over)
	}
	// None comes before its time, so a slice of the time never holds more than
	// its share and what a busy machine delayed.
	slices.Sort(ends)
	for i, at := range ends {
		due := over * time.Duration(i) / n
		if at < due-time.Millisecond || at > due+700*time.Millisecond {
			t.Fatalf("close %d of %d came after %v, due after %v: %v", i, n, at, due, ends)
		}
	}
	r.Wait()
	if s := r.Stats(); s.Closed[ReasonShutdown] != n {
		t.Errorf("closed %v", s.Closed)
	}
}

func TestADrainReturnsEarlyWhenNoneIsLeft(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	conns := park(t, r, 10)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		Drain(t.Context(), []*Listener{r.Listener}, time.Hour)
	}()
	for _, c := range conns {
		c.Close()
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Fatal("it did not return")
	}
}

func TestADrainThatIsCalledOffLeavesTheRest(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	park(t, r, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	Drain(ctx, []*Listener{r.Listener}, time.Hour)
	if n := r.Stats().Active; n < 8 {
		t.Errorf("%d of 10 are left after a moment of an hour", n)
	}
}

func TestADrainEndsConnectionsInEveryStage(t *testing.T) {
	for _, over := range []time.Duration{0, 100 * time.Millisecond} {
		e := newEndpoint(t, echo)
		s := trusting(MQTT)
		s.TLS = serverTLS(t)
		r := newRig(t, s, e.addr)
		header := headerOf(t, 1)
		inHeader, inHandshake, inConnect := r.dial(t), r.dial(t), r.dial(t)
		send(t, inHeader, header[:10])
		send(t, inHandshake, header)
		client := tlsClient(t, &withPrefix{inConnect, header}, clientTLS(t))
		send(t, client, connect("half", 0)[:5])
		until(t, "three connections", func() bool { return r.Stats().Active == 3 })

		Drain(t.Context(), []*Listener{r.Listener}, over)
		receiveEnd(t, inHeader)
		receiveEnd(t, inHandshake)
		receiveEnd(t, client)
		for _, l := range r.lines(t, 3) {
			if l.Reason != ReasonShutdown || l.Status != 503 {
				t.Errorf("access log: %+v", l)
			}
		}
		e.wantNoDials(t)
	}
}

func TestCloseAllEndsAllAtOnce(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	conns := park(t, r, 20)
	CloseAll([]*Listener{r.Listener}, ReasonShutdown)
	CloseAll([]*Listener{r.Listener}, "another") // the first reason counts
	for _, c := range conns {
		receiveEnd(t, c)
	}
	r.Wait()
	if s := r.Stats(); s.Closed[ReasonShutdown] != 20 {
		t.Errorf("closed %v", s.Closed)
	}
}
