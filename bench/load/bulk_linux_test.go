package load_test

import (
	"testing"

	"github.com/mqedge/mqedge/bench/bulk"
	"github.com/mqedge/mqedge/bench/load"
)

func TestBulkGoesBothWaysOverAllConnectionsOneAfterTheOther(t *testing.T) {
	s := listen(t)
	clients, _, err := load.Connect(t.Context(), load.Options{Addr: s.Addrs()[0], Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	for _, down := range []bool{false, true, false} {
		if got := clients.Bulk(load.BulkOptions{Down: down, Packets: 2}); got.OK != 4 || len(got.Failed) != 0 {
			t.Errorf("down %v: %+v, want 4 streams", down, got)
		}
	}
	if got := clients.Ping(); got.OK != 4 {
		t.Errorf("%+v, want 4 answers from connections that are still good", got)
	}
	if got := s.Stats(); got.Publishes != 12 || got.Malformed != 0 {
		t.Errorf("the sink saw %+v, want 12 requests", got)
	}
}

func TestAStreamThatBreaksIsReported(t *testing.T) {
	cut := liar(t, func([]byte) []byte { return make([]byte, bulk.PacketSize/2) })
	clients, _, err := load.Connect(t.Context(), load.Options{Addr: cut, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	if got := clients.Bulk(load.BulkOptions{Down: true, Packets: 1}); got.OK != 0 || len(got.Failed) != 1 {
		t.Errorf("%+v, want one failed", got)
	}
}
