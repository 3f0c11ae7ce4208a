package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/proxy/accesslog"
)

// Neither package may import the other, and check must not accept a format that
// run then refuses, nor the other way round.
func TestCheckAndTheAccessLogKnowTheSameVariables(t *testing.T) {
	plain := func(names []string) []string {
		var out []string
		for _, n := range names {
			out = append(out, strings.TrimPrefix(n, "$"))
		}
		return slices.Sorted(slices.Values(out))
	}
	if c, a := plain(configs.AccessLogVariables()), plain(accesslog.Variables()); !slices.Equal(c, a) {
		t.Errorf("check knows  %v\nthe log knows %v", c, a)
	}
}

func TestTheHashKeyIsOnlyForHash(t *testing.T) {
	l := configs.DefaultListener()
	for _, key := range []string{"client_id", "username", "source_ip", "sni"} {
		u := configs.DefaultUpstream()
		u.HashKey = key
		if got := settings(&l, &u).Route.HashKey; got != "" {
			t.Errorf("%s with balance %s is %q", key, u.Balance, got)
		}
		u.Balance = "hash"
		if got := settings(&l, &u).Route.HashKey; got != key {
			t.Errorf("%s is %q", key, got)
		}
		if got := poolOptions(&u, nil).Policy; got != balancer.Hash {
			t.Errorf("the policy is %s", got)
		}
	}
}

func TestThePoolAndItsCheckGetWhatTheFileSays(t *testing.T) {
	u := configs.DefaultUpstream()
	u.SlowStart = configs.SlowStart{ConnectsPerSecond: 5, For: time.Minute}
	if got, want := poolOptions(&u, nil).SlowStart, (balancer.SlowStart{ConnectsPerSecond: 5, For: time.Minute}); got != want {
		t.Errorf("slow start %+v", got)
	}
	p := &answering{}
	want := balancer.CheckOptions{Prober: p, Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3}
	if got := checkOptions(u.Health.Active, p); got != want {
		t.Errorf("check %+v", got)
	}
}
