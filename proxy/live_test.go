package proxy

import (
	"net"
	"testing"
)

func TestLiveConnectionsAreListed(t *testing.T) {
	e := newEndpoint(t, echo)
	s := settings(MQTT)
	s.TLS = serverTLS(t)
	r := newRig(t, s, e.addr)
	config := clientTLS(t)
	var first stream
	for _, id := range []string{"a", "b", "b"} {
		client := tlsClient(t, r.dial(t), config)
		packet := connects(id)["5"]
		send(t, client, packet)
		receive(t, client, len(packet))
		if first == nil {
			first = client
		}
	}
	silent := r.dial(t) // is only in its handshake
	until(t, "four connections", func() bool { return len(r.list("", 0)) == 4 })

	size := uint64(len(connects("a")["5"]))
	var c Connection
	until(t, "the bytes of a, which are counted after they are passed on", func() bool {
		if got := r.list("a", 0); len(got) == 1 {
			c = got[0]
		}
		return c.BytesOut == size
	})
	if c.ClientID != "a" || c.Username != "ann" || c.Version != "5" || c.KeepAlive != 60 ||
		c.Endpoint != e.addr || c.ServerName != "edge.test" || c.ID == 0 || c.Since.IsZero() ||
		c.Peer.String() != first.LocalAddr().String() || c.Client != c.Peer || c.BytesIn != size || c.BytesOut != size {
		t.Errorf("connection: %+v", c)
	}
	for _, want := range []struct {
		id       string
		limit, n int
	}{{"b", 0, 2}, {"b", 1, 1}, {"", 2, 2}, {"", 9, 4}, {"nobody", 0, 0}} {
		if got := r.list(want.id, want.limit); len(got) != want.n {
			t.Errorf("connections of %q, at most %d: %d, want %d", want.id, want.limit, len(got), want.n)
		}
	}
	silent.Close()
}

func TestKickClosesTheConnectionsOfAClientID(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, echo)
		s := settings(MQTT)
		secure(s)
		r := newRig(t, s, e.addr)
		open := func(id string) stream {
			client := enter(r.dial(t))
			packet := connect(id, 0)
			send(t, client, packet)
			receive(t, client, len(packet))
			return client
		}
		twice, again, other := open("twice"), open("twice"), open("other")
		if n := r.Kick("twice"); n != 2 {
			t.Errorf("kicked %d, want 2", n)
		}
		receiveEnd(t, twice)
		receiveEnd(t, again)
		for _, l := range r.lines(t, 2) {
			if l.Reason != "kicked" || l.ClientID != "twice" || l.Status != 200 {
				t.Errorf("access log: %+v", l)
			}
		}
		send(t, other, []byte("still here"))
		receiveText(t, other, "still here")
		if n := r.Kick("twice"); n != 0 {
			t.Errorf("kicked %d who were gone", n)
		}
		if s := r.Stats(); s.Closed["kicked"] != 2 || s.Active != 1 {
			t.Errorf("closed %v, %d active", s.Closed, s.Active)
		}
	})
}
