package certs

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
)

// mutual is a listener's options with client certificates and what the parts are made of.
type mutual struct {
	*folder
	authority *ca.CA
	device    KeyPair
	o         Options
}

func newMutual(t *testing.T) mutual {
	authority := newCA(t)
	files := newFolder(t)
	return mutual{
		folder:    files,
		authority: authority,
		device:    issue(t, authority, ca.Leaf{CommonName: "device", Client: true}),
		o: Options{
			Certificates:  []KeyPair{issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})},
			ClientAuth:    Require,
			ClientCAFile:  files.put("ca.pem", authority.PEM()),
			ClientCRLFile: files.put("crl.pem", crlOf(t, authority)),
		},
	}
}

func TestASessionResumesAcrossStoresWithTheSameTicketsAndRule(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m, other := newMutual(t), newCA(t)
		tickets := NewTickets(0)
		m.put("ca.pem", slices.Concat(m.authority.PEM(), other.PEM()))
		config := resuming(t, m.authority, m.device, version)
		first := open(t, m.o, tickets)
		connect(t, first.ServerConfig(), config).ok(t)

		m.put("ca.pem", slices.Concat(other.PEM(), m.authority.PEM())) // the same CAs
		m.put("crl.pem", crlOf(t, m.authority, issue(t, m.authority, ca.Leaf{CommonName: "another", Client: true})))
		m.o.Certificates = []KeyPair{issue(t, m.authority, ca.Leaf{DNSNames: []string{"edge.example"}})}
		c := connect(t, open(t, m.o, tickets).ServerConfig(), config).ok(t)
		if !c.resumed() || len(c.server.ConnectionState().VerifiedChains) == 0 {
			t.Error("not resumed with a new store, or without the client's certificate")
		}
		first.reload()
		if !connect(t, first.ServerConfig(), config).ok(t).resumed() {
			t.Error("not resumed after a reload")
		}
		if connect(t, open(t, m.o, nil).ServerConfig(), config).ok(t).resumed() {
			t.Error("resumed without the tickets")
		}
	})
}

func TestARevokedCertificateIsRefusedInAResumedSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		store := open(t, m.o, nil)
		config := resuming(t, m.authority, m.device, version)
		connect(t, store.ServerConfig(), config).ok(t)
		if !connect(t, store.ServerConfig(), config).ok(t).resumed() {
			t.Fatal("not resumed before the revocation")
		}
		m.put("crl.pem", crlOf(t, m.authority, m.device))
		store.reload()
		c := connect(t, store.ServerConfig(), config)
		if !errors.Is(c.serverErr, ErrRevoked) || !c.server.ConnectionState().DidResume {
			t.Errorf("server: %v, resumed: %v", c.serverErr, c.server.ConnectionState().DidResume)
		}
		if c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "bad certificate") {
			t.Errorf("client: %v, want the alert bad_certificate", c.clientErr)
		}
	})
}

func TestASessionDoesNotOutliveItsCA(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m, other := newMutual(t), newCA(t)
		m.o.ClientCRLFile = ""
		tickets := NewTickets(0)
		store := open(t, m.o, tickets)
		config := resuming(t, m.authority, m.device, version)
		connect(t, store.ServerConfig(), config).ok(t)

		m.put("ca.pem", other.PEM())
		store.reload()
		for name, server := range map[string]*tls.Config{
			"reloaded":  store.ServerConfig(),
			"new store": open(t, m.o, tickets).ServerConfig(),
		} {
			c := connect(t, server, config)
			if c.serverErr == nil || c.server.ConnectionState().DidResume {
				t.Errorf("%s: %v, resumed: %v", name, c.serverErr, c.server.ConnectionState().DidResume)
			}
		}
	})
}

func TestATicketOfAListenerWithoutClientCertificatesSaysNothingToOneWith(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, auth := range []ClientAuth{Request, Require} {
			m := newMutual(t)
			tickets := NewTickets(0)
			before := m.o
			before.ClientAuth = None
			config := resuming(t, m.authority, m.device, version)
			connect(t, open(t, before, tickets).ServerConfig(), config).ok(t)
			m.o.ClientAuth = auth
			c := connect(t, open(t, m.o, tickets).ServerConfig(), config).ok(t)
			if c.resumed() || len(c.server.ConnectionState().VerifiedChains) == 0 {
				t.Errorf("mode %d: resumed: %v, and the client's certificate was not asked for", auth, c.resumed())
			}
		}
	})
}

func TestATicketGivenUnderAnotherRuleLeadsToAFullHandshake(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m, other := newMutual(t), newCA(t)
		m.o.ClientCRLFile = ""
		m.o.ClientAuth = Request
		tickets := NewTickets(0)

		m.put("ca.pem", other.PEM())
		config := resuming(t, m.authority, m.device, version)
		c := connect(t, open(t, m.o, tickets).ServerConfig(), config).ok(t)
		if len(c.server.ConnectionState().PeerCertificates) != 0 {
			t.Fatal("the client showed a certificate of a CA it was not asked for")
		}
		m.put("ca.pem", m.authority.PEM())
		c = connect(t, open(t, m.o, tickets).ServerConfig(), config).ok(t)
		if c.resumed() || len(c.server.ConnectionState().VerifiedChains) == 0 {
			t.Error("with other CAs: resumed without a certificate")
		}
		m.o.ClientAuth = Require
		if connect(t, open(t, m.o, tickets).ServerConfig(), config).ok(t).resumed() {
			t.Error("required instead of requested: resumed")
		}
	})
}

func TestATicketIsGoodForTwoRotationsAndNotForThree(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		store := open(t, m.o, NewTickets(time.Hour))
		config := resuming(t, m.authority, m.device, version)
		connect(t, store.ServerConfig(), config).ok(t)
		now := time.Now()
		old := config.ClientSessionCache
		for rotation := range 3 {
			now = now.Add(time.Hour)
			store.tend(now)
			kept, _ := old.Get("edge.example")
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			config.ClientSessionCache.Put("edge.example", kept)
			if got, want := connect(t, store.ServerConfig(), config).ok(t).resumed(), rotation < 2; got != want {
				t.Errorf("after %d rotations: resumed: %v", rotation+1, got)
			}
		}
	})
}

func TestTheRingTurnsByTheClock(t *testing.T) {
	tickets := NewTickets(0)
	start := tickets.rotated
	keys := func(after time.Duration) [][32]byte { k, _ := tickets.at(start.Add(after)); return k }
	first := keys(0)
	if got := keys(12*time.Hour - 1); !slices.Equal(got, first) {
		t.Error("turned before 12 hours")
	}
	second := keys(12 * time.Hour)
	if len(second) != 2 || second[1] != first[0] || second[0] == first[0] {
		t.Error("the old key has to come second")
	}
	if third := keys(36*time.Hour - 1); len(third) != 3 || third[2] != first[0] {
		t.Error("two old keys are to be kept for 36 hours")
	}
	if fourth := keys(36 * time.Hour); len(fourth) != 3 || slices.Contains(fourth, first[0]) {
		t.Error("a key is kept for more than 36 hours")
	}
	before := keys(36 * time.Hour)
	for _, key := range keys(1000 * time.Hour) {
		if slices.Contains(before, key) {
			t.Error("a key survived a long sleep")
		}
	}
}

func TestRunRotatesTheKeysOfEveryStoreOfTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := newCA(t)
		o := Options{Certificates: []KeyPair{issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})}}
		tickets := NewTickets(time.Minute)
		one, other := open(t, o, tickets), open(t, o, tickets)
		defer start(t, one)()
		defer start(t, other)()
		<-time.After(2*time.Minute + time.Second)
		synctest.Wait()
		if a, b := one.current.Load().generation, other.current.Load().generation; a != 3 || b != 3 {
			t.Errorf("generations %d and %d, want 3", a, b)
		}
	})
}

func TestASessionResumesWithARingThatHoldsTheKeysOfAnother(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		before, after, stranger := NewTickets(time.Hour), NewTickets(time.Hour), NewTickets(time.Hour)
		config := resuming(t, m.authority, m.device, version)
		connect(t, open(t, m.o, before).ServerConfig(), config).ok(t)
		after.Restore(before.Keys())
		stranger.Restore(TicketKeys{Keys: [][]byte{{1, 2, 3}}, Rotated: time.Now()})
		if !connect(t, open(t, m.o, after).ServerConfig(), config).ok(t).resumed() {
			t.Error("not resumed")
		}
		if connect(t, open(t, m.o, stranger).ServerConfig(), config).ok(t).resumed() {
			t.Error("resumed with keys that are none")
		}
		if d := after.rotated.Sub(before.rotated).Abs(); d > time.Millisecond {
			t.Errorf("the ring was turned at %v, not %v", after.rotated, before.rotated)
		}
	})
}
