package demo

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mqedge/mqedge/demo/hooks"
)

func TestACallIsLostUnlessItWasAnsweredWellOrItsBrokerWasKilled(t *testing.T) {
	c := newCalls()
	for range 5 {
		c.began()
	}
	c.ended(hooks.Result{Method: "OnMessagePublish", Took: 3 * time.Millisecond})
	c.mark()
	c.ended(hooks.Result{Method: "OnMessagePublish", Took: 2 * time.Millisecond, Ignored: true})
	c.ended(hooks.Result{Method: "OnClientConnected", Took: time.Hour, Err: hooks.ErrClosed})
	c.ended(hooks.Result{Method: "OnClientAuthenticate", Took: 4 * time.Millisecond, Err: errors.New("refused")})
	all, p50, p99 := c.total()
	want := account{answered: 2, cutOff: 1, lost: 1, inPlace: 1, slowest: 4 * time.Millisecond, why: "OnClientAuthenticate: refused"}
	if all != want {
		t.Errorf("%+v, want %+v", all, want)
	}
	if p50 != 3*time.Millisecond || p99 != 4*time.Millisecond {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	want.answered--
	if got := c.sinceMark(); got != want {
		t.Errorf("since the mark %+v, want %+v", got, want)
	}
	if n := c.pending(); n != 1 {
		t.Errorf("%d pend, want 1", n)
	}
	text := "3 calls, 1 lost, the slowest took 4.0ms, 1 answered by the edge in place of a hook server; " +
		"the first lost was OnClientAuthenticate: refused"
	if got := all.String(); got != text {
		t.Errorf("got %q\nwant %q", got, text)
	}
	if got := (account{answered: 1200, slowest: time.Second}).String(); got != "1,200 calls, 0 lost, the slowest took 1.0s" {
		t.Errorf("got %q", got)
	}
}

func TestAClientBelongsToTheHookServerOfItsLatestCall(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	one := hooks.Heard{Clients: map[string]time.Time{"a": at(1), "b": at(5), "c": at(1)}}
	two := hooks.Heard{Clients: map[string]time.Time{"b": at(2), "c": at(3), "d": at(4)}}
	for _, test := range []struct {
		its, others hooks.Heard
		want        []string
	}{
		{one, two, []string{"a", "b"}}, {two, one, []string{"c", "d"}}, {one, hooks.Heard{}, []string{"a", "b", "c"}}, {hooks.Heard{}, one, nil},
	} {
		got := clientsOf(test.its, test.others)
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if n := after(two, []string{"a", "b", "c", "d"}, at(2)); n != 2 {
		t.Errorf("%d after, want 2", n)
	}
}

func TestAHookServerKeepsItsAddressAndItsCountThroughADeath(t *testing.T) {
	p, err := startProviders()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	addr := p.addrs[1]
	talk := func() {
		t.Helper()
		n, err := hooks.NewNode(hooks.NodeOptions{Addr: addr, Name: "node", Began: func() {}, Ended: func(r hooks.Result) {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		n.Load()
		n.Connected("a")
	}
	talk()
	if was := p.kill(1); was.Calls != 2 || p.kill(1).Calls != 0 {
		t.Errorf("it had heard %+v", was)
	}
	if now, inAll := p.heard(1); now.Calls != 0 || inAll != 2 {
		t.Errorf("dead it has heard %+v, in all %d", now, inAll)
	}
	if err := p.revive(1); err != nil || p.addrs[1] != addr {
		t.Fatalf("%v, on %s where it was %s", err, p.addrs[1], addr)
	}
	talk()
	if now, inAll := p.heard(1); now.Calls != 2 || inAll != 4 {
		t.Errorf("back it has heard %+v, in all %d", now, inAll)
	}
}
