package balancer

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPoolHoldsAgainstEndpointsWhatTheOneBeforeItDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{MaxFails: 1, FailTimeout: 10 * time.Second, MaxEjected: 100}
		all := []Endpoint{{Addr: "good"}, {Addr: "drained"}, {Addr: "ejected"}, {Addr: "sick"}, {Addr: "leaving"}}
		before, after := New("emqx", o), New("emqx", o)
		before.Update(all)
		for _, p := range []*Pool{before, after} {
			p.SetDrains(map[string]string{"drained": "drained by hand"}) // which is not a matter of standings
		}
		before.known["sick"].probed(errors.New("no answer"), 1, 1)
		before.known["leaving"].probed(Draining{Reason: "rebalancing"}, 1, 1)
		before.known["ejected"].fail(ConnectFailed, errors.New("refused"))
		time.Sleep(4 * time.Second)

		told := 0
		after.Configure(Options{MaxFails: 1, FailTimeout: 10 * time.Second, OnChange: func(Change) { told++ }})
		after.Update(all)
		after.Adopt(before.Standings(), true)
		if told != 0 {
			t.Errorf("%d changes were told of", told)
		}
		for i, want := range before.Status().Endpoints {
			got := after.Status().Endpoints[i]
			if got.Up != want.Up || got.Draining != want.Draining || got.Ejected != want.Ejected || (got.Reason == "") != (want.Reason == "") {
				t.Errorf("%s is\n%+v, want\n%+v", want.Address, got, want)
			}
		}
		for range 20 {
			l, err := after.Pick(PickInfo{})
			if err != nil || l.Addr() != "good" {
				t.Fatalf("picked %s, %v", l.Addr(), err)
			}
			l.Done(Served)
		}
		time.Sleep(7 * time.Second) // 10 s after the failure its trial is due
		var picked []string
		for range 20 {
			l, err := after.Pick(PickInfo{})
			if err != nil {
				t.Fatal(err)
			}
			picked = append(picked, l.Addr())
			l.Done(Served)
		}
		if !slices.Contains(picked, "ejected") {
			t.Error("the ejected one was not tried after the time that was left")
		}
	})
}

func TestWhatNobodyWouldTakeBackIsNotAdopted(t *testing.T) {
	p := New("emqx", Options{})
	p.Update([]Endpoint{{Addr: "a"}, {Addr: "b"}})
	p.Adopt([]Standing{{Addr: "a", Failing: true, Check: "check failed"}, {Addr: "b", Ejected: true, RetryIn: time.Hour}, {Addr: "gone", Failing: true}}, false)
	for _, ep := range p.Status().Endpoints {
		if !ep.Up || ep.Reason != "" {
			t.Errorf("%+v", ep)
		}
	}
}
