package certs

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
	"time"
)

func sharedSecret(period int64, fill byte) SharedSecret {
	return SharedSecret{period, [32]byte(bytes.Repeat([]byte{fill}, 32))}
}

func sharing(secrets ...SharedSecret) *SharedSecrets {
	s := &SharedSecrets{}
	s.Set(secrets)
	return s
}

// keep makes a copy of a client's memory, for a try that does not change it.
func keep(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	kept, _ := config.ClientSessionCache.Get("edge.example")
	c.ClientSessionCache.Put("edge.example", kept)
	return c
}

func TestSessionsResumeInEveryProcessThatSharesTheSecretAndForNoOtherListener(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m, other := newMutual(t), newCA(t)
		now := TicketPeriod(time.Now())
		secrets := []SharedSecret{sharedSecret(now, 1), sharedSecret(now+1, 2)}
		config := resuming(t, m.authority, m.device, version)
		connect(t, open(t, m.o, NewSharedTickets("mqtts", sharing(secrets...))).ServerConfig(), config).ok(t)

		strange := m.under(Require, m.put("both.pem", slices.Concat(other.PEM(), m.authority.PEM())), false)
		for name, c := range map[string]struct {
			o       Options
			tickets *Tickets
			want    bool
		}{
			"the same":          {m.o, NewSharedTickets("mqtts", sharing(secrets...)), true},
			"another listener":  {m.o, NewSharedTickets("mqtts2", sharing(secrets...)), false},
			"another secret":    {m.o, NewSharedTickets("mqtts", sharing(sharedSecret(now, 3))), false},
			"of another period": {m.o, NewSharedTickets("mqtts", sharing(sharedSecret(now-1, 1))), false},
			"no secret":         {m.o, NewSharedTickets("mqtts", sharing()), false},
			"other CAs":         {strange, NewSharedTickets("mqtts", sharing(secrets...)), false},
			"nothing asked for": {m.under(None, "", false), NewSharedTickets("mqtts", sharing(secrets...)), false},
			"only requested":    {m.under(Request, m.o.ClientCAFile, false), NewSharedTickets("mqtts", sharing(secrets...)), false},
		} {
			got := connect(t, open(t, c.o, c.tickets).ServerConfig(), keep(config)).ok(t)
			if verified := len(got.server.ConnectionState().VerifiedChains) > 0; got.resumed() != c.want || verified != (c.o.ClientAuth != None) {
				t.Errorf("%s: resumed %v, client verified %v", name, got.resumed(), verified)
			}
		}
		m.o.TicketKeysFile = m.put("keys", []byte(secretLine(1)))
		if connect(t, open(t, m.o, NewSharedTickets("mqtts", sharing(secrets...))).ServerConfig(), keep(config)).ok(t).resumed() {
			t.Error("resumed by a listener with a file of its own")
		}
	})
}

func TestASharedSecretWritesForItsPeriodAndReadsForTwoMore(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		now := time.Now()
		period := TicketPeriod(now)
		var secrets []SharedSecret
		for i := range int64(5) {
			secrets = append(secrets, sharedSecret(period+i, byte(i+1)))
		}
		config := resuming(t, m.authority, m.device, version)
		connect(t, open(t, m.o, NewSharedTickets("mqtts", sharing(secrets...))).ServerConfig(), config).ok(t)
		for later := range 4 {
			other := open(t, m.o, NewSharedTickets("mqtts", sharing(secrets...)))
			other.tend(now.Add(time.Duration(later) * defaultRotation))
			if got, want := connect(t, other.ServerConfig(), keep(config)).ok(t).resumed(), later < 3; got != want {
				t.Errorf("%d periods later: resumed %v", later, got)
			}
		}
		behind := open(t, m.o, NewSharedTickets("mqtts", sharing(secrets...)))
		behind.tend(now.Add(-defaultRotation))
		if !connect(t, behind.ServerConfig(), keep(config)).ok(t).resumed() {
			t.Error("not resumed by one whose clock is behind")
		}
	})
}

func TestTwoSidesThatWereApartResumeEachOthersSessionsOnceTheyMeet(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		now := TicketPeriod(time.Now())
		left, right := sharing(sharedSecret(now, 1)), sharing(sharedSecret(now, 2))
		a, b := open(t, m.o, NewSharedTickets("mqtts", left)), open(t, m.o, NewSharedTickets("mqtts", right))
		ofA, ofB := resuming(t, m.authority, m.device, version), resuming(t, m.authority, m.device, version)
		connect(t, a.ServerConfig(), ofA).ok(t)
		connect(t, b.ServerConfig(), ofB).ok(t)
		if connect(t, b.ServerConfig(), keep(ofA)).ok(t).resumed() {
			t.Error("resumed before they met")
		}
		for _, side := range []*SharedSecrets{left, right} {
			side.Set([]SharedSecret{sharedSecret(now, 1), sharedSecret(now, 2)})
		}
		a.Tend()
		b.Tend()
		for name, s := range map[string]*Store{"a": a, "b": b} {
			for from, config := range map[string]*tls.Config{"a": ofA, "b": ofB} {
				if !connect(t, s.ServerConfig(), keep(config)).ok(t).resumed() {
					t.Errorf("a session of %s is not resumed by %s", from, name)
				}
			}
		}
	})
}

func TestWhatAListenerWroteItselfIsReadWhenSecretsComeAndGo(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		secrets := &SharedSecrets{}
		store := open(t, m.o, NewSharedTickets("mqtts", secrets))
		config := resuming(t, m.authority, m.device, version)
		connect(t, store.ServerConfig(), config).ok(t)
		period := TicketPeriod(time.Now())
		for _, now := range [][]SharedSecret{{sharedSecret(period, 1)}, {sharedSecret(period-1, 1)}, nil} {
			secrets.Set(now)
			store.Tend()
			if !connect(t, store.ServerConfig(), keep(config)).ok(t).resumed() {
				t.Errorf("not resumed with %d secrets", len(now))
			}
		}
	})
}

func TestOnlyAFewSharedSecretsOfAPeriodCount(t *testing.T) {
	var secrets []SharedSecret
	for i := range 100 {
		secrets = append(secrets, sharedSecret(int64(i%2)*50+7, byte(i)))
	}
	if keys, writes := keysOfShared(secrets, "mqtts", 7); len(keys) != mostShared || !writes {
		t.Errorf("%d keys, writes %v", len(keys), writes)
	}
	if keys, writes := keysOfShared(secrets, "mqtts", 56); len(keys) != mostShared || writes {
		t.Errorf("%d keys of the next period, writes %v", len(keys), writes)
	}
	tickets := NewSharedTickets("mqtts", sharing(secrets...))
	first, generation := tickets.at(time.Now())
	if again, same := tickets.at(time.Now()); same != generation || &again[0] != &first[0] {
		t.Error("made anew though nothing changed")
	}
}
