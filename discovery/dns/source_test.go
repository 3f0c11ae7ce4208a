package dns_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asking is a source that runs, and the sets it gave.
type asking struct {
	*dns.Source
	sets chan []balancer.Endpoint
}

func ask(t *testing.T, o dns.Options) *asking {
	t.Helper()
	o.Interval, o.Timeout = 20*time.Millisecond, 10*time.Second
	s, err := dns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &asking{s, make(chan []balancer.Endpoint, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink(r.sets)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

type sink chan []balancer.Endpoint

func (s sink) Update(endpoints []balancer.Endpoint) { s <- endpoints }

func (r *asking) next(t *testing.T, want ...string) {
	t.Helper()
	select {
	case set := <-r.sets:
		var got []string
		for _, e := range set {
			text := fmt.Sprintf("%s x%d", e.Addr, e.Weight)
			if e.Backup {
				text += " backup"
			}
			if e.Source != "dns" {
				t.Errorf("source %q", e.Source)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no set; %+v", r.Status())
	}
}

// until waits for a state of asking.
func (r *asking) until(t *testing.T, what string, good func(dns.Status) bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !good(r.Status()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s: %+v", what, r.Status())
		}
	}
}

func TestAddressesOfBothFamiliesAreUsedInOrder(t *testing.T) {
	s := serve(t)
	s.set("emqx.test.", a("10.0.0.10"), a("10.0.0.9"), a("2001:db8::1"), a("0.0.0.0"))
	r := ask(t, dns.Options{Name: "emqx.test.", Port: 1883, Resolver: s.addr})
	r.next(t, "10.0.0.9:1883 x1", "10.0.0.10:1883 x1", "[2001:db8::1]:1883 x1")

	s.set("emqx.test.", a("10.0.0.10"), a("10.0.0.11"))
	r.next(t, "10.0.0.10:1883 x1", "10.0.0.11:1883 x1")
}

func TestTheLastGoodAnswerIsKept(t *testing.T) {
	s := serve(t)
	s.set("emqx.test.", a("10.0.0.1"))
	r := ask(t, dns.Options{Name: "emqx.test.", Port: 1883, Resolver: s.addr})
	r.next(t, "10.0.0.1:1883 x1")
	for _, bad := range []struct {
		what string
		do   func()
		says string
	}{
		{"a failing server", func() { s.fail(dnsmessage.RCodeServerFailure) }, "server misbehaving"},
		{"no such name", func() { s.fail(dnsmessage.RCodeNameError) }, "no such name"},
		{"an empty answer", func() { s.fail(dnsmessage.RCodeSuccess); s.set("emqx.test.") }, "no such"},
		{"unusable addresses", func() { s.set("emqx.test.", a("0.0.0.0"), a("224.0.0.1")) }, "no usable address"},
	} {
		before := r.Status().Failures
		bad.do()
		r.until(t, bad.what, func(st dns.Status) bool {
			return st.Failures > before && st.Err != nil && strings.Contains(st.Err.Error(), bad.says) && st.Endpoints == 1
		})
	}
	select {
	case set := <-r.sets:
		t.Fatalf("the sink was told %v", set)
	default:
	}
	s.set("emqx.test.", a("10.0.0.2"))
	r.next(t, "10.0.0.2:1883 x1")
	r.until(t, "good again", func(st dns.Status) bool { return st.Err == nil })
}

func TestServiceRecordsHaveWeightsAndTheBestPriorityIsPrimary(t *testing.T) {
	s := serve(t)
	s.set("_mqtt._tcp.test.", srv("b.test.", 1883, 20, 0), srv("a.test.", 2883, 10, 5), srv("c.test.", 1883, 10, 0))
	s.set("a.test.", a("10.0.0.1"), a("10.0.0.4"))
	s.set("b.test.", a("10.0.0.2"))
	s.set("c.test.", a("10.0.0.3"))
	r := ask(t, dns.Options{Name: "_mqtt._tcp.test.", Type: dns.SRV, Resolver: s.addr})
	want := []string{"10.0.0.1:2883 x5", "10.0.0.3:1883 x1", "10.0.0.4:2883 x5", "10.0.0.2:1883 x1 backup"}
	r.next(t, want...)

	s.set("a.test.") // one target cannot be resolved: it keeps its addresses
	r.until(t, "troubled", func(st dns.Status) bool {
		return st.Err != nil && strings.Contains(st.Err.Error(), "a.test") && st.Endpoints == 4
	})
	s.set("_mqtt._tcp.test.", srv("b.test.", 1883, 20, 7), srv("c.test.", 1883, 30, 0))
	r.next(t, "10.0.0.2:1883 x7", "10.0.0.3:1883 x1 backup")
}

func TestALongAnswerComesOverTCP(t *testing.T) {
	s := serve(t)
	s.set("emqx.test.", a("10.0.0.1"))
	s.mu.Lock()
	s.tooLong = true
	s.mu.Unlock()
	r := ask(t, dns.Options{Name: "emqx.test.", Port: 1883, Resolver: s.addr})
	r.next(t, "10.0.0.1:1883 x1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overTCP == 0 {
		t.Error("nobody asked over TCP")
	}
}

func TestAServerThatIsGoneIsReportedInTheSameWordsEachTime(t *testing.T) {
	r := ask(t, dns.Options{Name: "emqx.test.", Port: 1883, Resolver: "127.0.0.1:1"})
	r.until(t, "refused", func(st dns.Status) bool {
		return st.Failures > 1 && strings.HasSuffix(st.Err.Error(), "connection refused") && !strings.Contains(st.Err.Error(), "->")
	})
}

func TestBadOptionsAreNamed(t *testing.T) {
	for want, o := range map[string]dns.Options{
		"dns.name":     {},
		"dns.port":     {Name: "x"},
		"dns.type":     {Name: "x", Type: "mx"},
		"dns.interval": {Name: "x", Port: 1, Interval: -1},
	} {
		if _, err := dns.New(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want it to begin with %s", o, err, want)
		}
	}
}
