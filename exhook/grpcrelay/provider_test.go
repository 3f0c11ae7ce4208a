package grpcrelay

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

func TestAProviderIsReadyWhenItsSettingsCame(t *testing.T) {
	g := NewGroup(Options{Handler: &handler{}})
	e := newEnd(t, g)
	changed := 0
	p := g.Provider(e.m, ProviderOptions{Changed: func(*Provider) { changed++ }})
	e.c = p
	if p.Ready() || p.Room() != 0 {
		t.Fatal("ready at once")
	}
	e.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
	e.send()
	if !p.Ready() || p.Room() != 7 || changed != 1 {
		t.Fatalf("ready %v, room %d, changed %d", p.Ready(), p.Room(), changed)
	}
}

func TestAProviderWithoutSettingsIsClosed(t *testing.T) {
	g := NewGroup(Options{Handler: &handler{}})
	e := newEnd(t, g)
	p := g.Provider(e.m, ProviderOptions{})
	e.c = p
	e.pass(11 * time.Second)
	gone(t, e, http2.ErrCodeSettingsTimeout)
	if p.Err() == nil {
		t.Fatal("no error")
	}
}

func TestAProviderTakesAsManyCallsAsItSays(t *testing.T) {
	h, client, provider, _, p := rig(t, Options{})
	changed := 0
	p.o.Changed = func(p *Provider) { changed++ }
	provider.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
	provider.send()
	changed = 0
	var refused error
	var waiting *Call
	h.call = func(c *Call) {
		if err := c.Forward(p, ForwardOptions{}); err != nil {
			refused, waiting = err, c
		}
	}
	for i := range uint32(3) {
		client.request(1+2*i, "q")
	}
	client.send()
	if !errors.Is(refused, ErrNotReady) || p.InFlight() != 2 || p.Room() != 0 {
		t.Fatalf("refused %v, %d in flight", refused, p.InFlight())
	}
	provider.answer(1, "a")
	provider.send()
	if changed != 1 || p.Room() != 1 || waiting.Forward(p, ForwardOptions{}) != nil {
		t.Fatalf("changed %d, room %d", changed, p.Room())
	}
}

func TestCallsAProviderStillServesGoOnAfterGoaway(t *testing.T) {
	h, client, provider, _, p := rig(t, Options{})
	outcomes := map[codes.Code]Outcome{}
	h.forwarded = func(_ *Call, o Outcome) { outcomes[o.Code] = o }
	for i := range uint32(2) {
		client.request(1+2*i, "q")
	}
	client.send()
	provider.fr.WriteGoAway(1, http2.ErrCodeNo, nil)
	provider.send()
	want(t, client.stream(3), "14", "going away")
	if o := outcomes[codes.Unavailable]; !o.Unprocessed || p.Ready() || provider.m.closed {
		t.Fatalf("outcome %+v, ready %v", o, p.Ready())
	}
	provider.answer(1, "a")
	provider.send()
	wantAnswer(t, client.stream(1), "a")
	if !provider.m.closed || !errors.Is(p.Err(), ErrLeft) {
		t.Fatalf("not closed in good order: %v", p.Err())
	}
}

func TestAHungProviderIsNoticed(t *testing.T) {
	_, client, provider, _, p := rig(t, Options{})
	provider.pass(time.Minute)
	if all := provider.read(); len(all) != 0 {
		t.Fatalf("an idle provider got %+v", all)
	}
	client.request(1, "q", "grpc-timeout", "10M")
	client.send()
	provider.read()
	provider.pass(11 * time.Second)
	if s := provider.stream(0); s.pings != 1 {
		t.Fatalf("no ping: %+v", s)
	}
	provider.pass(11 * time.Second)
	if !p.closed {
		t.Fatal("not noticed")
	}
	want(t, client.stream(1), "14", "lost")
}

// Servers of grpc-go close a connection on which a third ping comes with nothing
// moving in between.
func TestALongQuietCallIsNotPingedToDeath(t *testing.T) {
	_, client, provider, _, p := rig(t, Options{})
	client.request(1, "q", "grpc-timeout", "10M")
	client.send()
	provider.read()
	pings := 0
	for range 200 {
		provider.pass(time.Second)
		if s := provider.stream(0); s.pings > 0 {
			pings += s.pings
			provider.fr.WritePing(true, [8]byte{})
			provider.send()
		}
	}
	if pings != 2 || p.closed {
		t.Fatalf("%d pings, closed %v", pings, p.closed)
	}
	provider.answer(1, "a")
	provider.send()
	wantAnswer(t, client.stream(1), "a")
}

func TestADrainedProviderClosesWhenItsCallsHaveEnded(t *testing.T) {
	_, client, provider, _, p := rig(t, Options{})
	client.request(1, "q")
	client.send()
	p.Drain()
	client.request(3, "q")
	client.send()
	want(t, client.stream(3), "14", "no call now")
	provider.answer(1, "a")
	provider.send()
	wantAnswer(t, client.stream(1), "a")
	if !provider.m.closed {
		t.Fatal("not closed")
	}
}

func TestAProviderThatDoesNotReadHasNoRoom(t *testing.T) {
	_, client, provider, _, p := rig(t, Options{Backlog: 4000})
	changed := 0
	p.o.Changed = func(*Provider) { changed++ }
	provider.m.stuck = true
	for i := uint32(0); p.Room() > 0; i++ {
		client.request(1+2*i, "0123456789")
		client.send()
	}
	if provider.m.Backlog() > 2000 || changed != 0 {
		t.Fatalf("%d bytes wait, changed %d", provider.m.Backlog(), changed)
	}
	provider.m.stuck, provider.m.sent = false, len(provider.m.b)
	p.Resume()
	if p.Room() == 0 || changed != 1 {
		t.Fatalf("room %d, changed %d", p.Room(), changed)
	}
}
