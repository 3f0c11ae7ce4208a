package gossip

import (
	"log/slog"
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
	n.catalog.put(wireSet{origin: "other~1", seq: 1, offers: []offer{{service: "emqx", addr: netip.MustParseAddrPort("10.0.0.1:1883"), weight: 1}}}, time.Now())
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

// Who learns a set from beyond a partition passes it on as a change from the beginning, and does not know what was removed.
func TestAChangeFromTheBeginningIsTheWholeSet(t *testing.T) {
	c := newCatalog("self~1", nil, time.Minute, newRefusals(slog.New(slog.DiscardHandler)))
	one := func(text string) offer {
		return offer{service: "emqx", addr: netip.MustParseAddrPort(text), weight: 1}
	}
	c.put(wireSet{origin: "other~1", seq: 1, offers: []offer{one("10.0.0.1:1883")}}, time.Now())
	if news, fetch := c.patch(delta{origin: "other~1", to: 3, changed: []offer{one("10.0.1.1:1883")}}, time.Now()); !news || fetch {
		t.Errorf("news %v, to be fetched %v", news, fetch)
	}
	if s := c.sets["other~1"]; s.seq != 3 || len(s.offers) != 1 || c.offers != 1 {
		t.Errorf("%+v, %d in all", s, c.offers)
	}
}
