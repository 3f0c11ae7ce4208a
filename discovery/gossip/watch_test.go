package gossip

import (
	"net/netip"
	"testing"
	"time"
)

// An endpoint that is heard of is published a moment later. Who asks in between, as edges do for their status, must not take the
// news away from those who watch.
func TestWhoAsksBeforeNewsAreToldDoesNotKeepThemFromWatchers(t *testing.T) {
	n, err := New(Options{Bind: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	changed, stop := n.watchers.add("emqx")
	defer stop()
	n.mu.Lock()
	n.catalog.put(wireSet{origin: "other~1", seq: 1, offers: []offer{{service: "emqx", addr: netip.MustParseAddrPort("127.0.0.1:1883"), weight: 1}}}, time.Now())
	n.mu.Unlock()
	if known := n.Endpoints("emqx"); len(known) != 1 {
		t.Fatalf("it knows %v", known)
	}
	n.mu.Lock()
	n.refresh(time.Now())
	n.mu.Unlock()
	select {
	case <-changed:
	default:
		t.Error("who watches was not told")
	}
}
