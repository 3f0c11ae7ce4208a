package endpoints_test

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/endpoints"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAConnectionIsServedWithTheNumberOfItsEndpointAndEndedByClose(t *testing.T) {
	set, err := endpoints.Listen(func(endpoint int, c net.Conn) {
		_, _ = c.Write([]byte{byte(endpoint)})
		_, _ = io.Copy(io.Discard, c)
	}, "127.0.0.1:0", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var conns []net.Conn
	for i, addr := range set.Addrs() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var got [1]byte
		if _, err := io.ReadFull(c, got[:]); err != nil || int(got[0]) != i {
			t.Errorf("endpoint %d (%v), want %d", got[0], err, i)
		}
		conns = append(conns, c)
	}
	if set.Open() != 2 {
		t.Errorf("%d open, want 2", set.Open())
	}
	set.Close()
	for _, c := range conns {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlived Close")
		}
	}
	if set.Open() != 0 {
		t.Errorf("%d open after Close", set.Open())
	}
}

func TestAnAddressInUseIsAnErrorAndClosesTheOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := endpoints.Listen(func(int, net.Conn) {}, "127.0.0.1:0", l.Addr().String()); err == nil {
		t.Error("an address in use was opened")
	}
}
