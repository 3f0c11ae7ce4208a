package probe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
)

func TestATCPProbeSendsNothingAndEndsWithFIN(t *testing.T) {
	type heard struct {
		bytes string
		err   error
	}
	ends := make(chan heard, 1)
	addr := listen(t, func(c net.Conn) {
		b, err := io.ReadAll(c)
		ends <- heard{string(b), err}
	})
	mustBeAlive(t, probe.TCP{}.Probe(within(t, patience), addr))
	if got := <-ends; got != (heard{}) {
		t.Errorf("%q, then %v; want nothing, then FIN", got.bytes, got.err)
	}
	mustBeAlive(t, probe.TCP{Proxy: 2}.Probe(within(t, patience), addr))
	if got := <-ends; len(got.bytes) != 28 || got.err != nil {
		t.Errorf("%q, then %v; want a header of 28 bytes, then FIN", got.bytes, got.err)
	}
	mustBeAlive(t, probe.TCP{Proxy: 1}.Probe(within(t, patience), addr))
	if got := <-ends; len(got.bytes) < 6 || got.bytes[:6] != "PROXY " || got.err != nil {
		t.Errorf("%q, then %v; want a header of version 1, then FIN", got.bytes, got.err)
	}
}

func TestATCPProbeFindsAnEndpointThatClosesAtOnce(t *testing.T) {
	mustFail(t, probe.TCP{}.Probe(within(t, patience), listen(t, func(net.Conn) {})), "ends them at once", "the endpoint closed")
	mustFail(t, probe.TCP{}.Probe(within(t, patience), listen(t, reset)), "reset by peer")
	greets := listen(t, func(c net.Conn) { io.WriteString(c, "220 hello\r\n") })
	mustBeAlive(t, probe.TCP{}.Probe(within(t, patience), greets))
}

func TestAnEndpointThatRefusesIsDownInAllProbers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, p := range all(t, addr) {
		mustFail(t, p.Probe(within(t, patience), addr), "connection refused")
	}
}

func TestNoProbeOutlivesItsDeadline(t *testing.T) {
	addr := listen(t, silent)
	for _, p := range all(t, addr)[1:] { // TCP is content with silence
		began := time.Now()
		mustFail(t, p.Probe(within(t, 200*time.Millisecond), addr), "i/o timeout")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%T took %v, want 200ms", p, took)
		}
	}
}

func TestAProbeThatIsCalledOffSaysSo(t *testing.T) {
	asked := make(chan struct{}, 8)
	addr := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1))
		asked <- struct{}{}
		silent(c)
	})
	for _, p := range all(t, addr) {
		ctx, cancel := context.WithCancel(context.Background()) // the prober's own bound holds
		if _, quick := p.(probe.TCP); !quick {
			done := make(chan error, 1)
			go func() { done <- p.Probe(ctx, addr) }()
			<-asked
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%T: %v, want canceled", p, err)
				}
			case <-time.After(patience / 4):
				t.Fatalf("%T goes on", p)
			}
		}
		cancel()
		if err := p.Probe(ctx, addr); !errors.Is(err, context.Canceled) {
			t.Errorf("%T, called off before it began: %v", p, err)
		}
	}
}

// all are the probers, TCP first; the HTTP ones ask at the port of addr.
func all(t *testing.T, addr string) []balancer.Prober {
	_, client := certificate(t)
	return []balancer.Prober{
		probe.TCP{}, probe.MQTT{}, probe.MQTT{Proxy: 1}, probe.MQTT{TLS: client}, probe.HTTP{}, probe.HTTP{TLS: client},
		&probe.EMQX{Port: portOf(t, addr)},
	}
}
