package edge

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/configs"
)

func TestEveryTypeOfCheckAsksInItsOwnWay(t *testing.T) {
	e := New(Options{LogOutput: &logBuffer{}})
	for name, c := range map[string]struct {
		active configs.Active
		want   balancer.Prober
	}{
		"tcp":  {configs.Active{Type: "tcp", Port: 9}, atPort{9, probe.TCP{Proxy: 2}}},
		"mqtt": {configs.Active{Type: "mqtt", Username: "u", Password: "p"}, atPort{0, probe.MQTT{Proxy: 2, ClientID: e.probeName + "-emqx", Username: "u", Password: "p"}}},
		"http": {configs.Active{Type: "http", Port: 80, Path: "/x"}, probe.HTTP{Port: 80, Path: "/x"}},
		"emqx": {configs.Active{Type: "emqx", Path: "/x"}, &probe.EMQX{Path: "/x"}},
	} {
		u := configs.DefaultUpstream()
		u.SendProxy, u.Health.Active = "v2", c.active
		if got := e.newCheck("emqx", &u).prober; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	u := configs.DefaultUpstream()
	if e.newCheck("emqx", &u) != nil {
		t.Error("a check of type none")
	}
}

func TestAnUpstreamWithTLSIsAskedOverTLSWhereItIsTheEndpointThatIsAsked(t *testing.T) {
	e := New(Options{LogOutput: &logBuffer{}})
	for _, c := range []struct {
		active configs.Active
		want   bool
	}{
		{configs.Active{Type: "mqtt"}, true},
		{configs.Active{Type: "mqtt", Port: 8883}, true},
		{configs.Active{Type: "http"}, true},
		{configs.Active{Type: "http", Port: 18083}, false},
		{configs.Active{Type: "emqx"}, false},
	} {
		u := configs.DefaultUpstream()
		u.TLS, u.Health.Active = &configs.UpstreamTLS{}, c.active
		got := false
		switch p := e.newCheck("emqx", &u).prober.(type) {
		case atPort:
			got = p.Prober.(probe.MQTT).TLS != nil
		case probe.HTTP:
			got = p.TLS != nil
		case *probe.EMQX:
			got = p.TLS != nil
		}
		if got != c.want {
			t.Errorf("%+v over TLS: %v", c.active, got)
		}
	}
}

// answering is a prober of which the test knows the answer.
type answering struct {
	err  error
	addr string // who was asked last
}

func (a *answering) Probe(_ context.Context, addr string) error {
	a.addr = addr
	return a.err
}

func TestAMismatchOfPROXYProtocolIsSaidOncePerChange(t *testing.T) {
	var log logBuffer
	e := New(Options{LogOutput: &log})
	u := configs.DefaultUpstream()
	u.Health.Active.Type = "mqtt"
	c := e.newCheck("emqx", &u)
	p := &answering{}
	c.prober = p
	mismatch := &probe.ProxyMismatch{Expects: true}
	for i, step := range []struct {
		err        error
		mismatches bool
		warned     int
		agreed     int
	}{
		{nil, false, 0, 0},
		{mismatch, true, 1, 0},
		{mismatch, true, 1, 0},
		{errors.New("connection refused"), true, 1, 0}, // it is restarted, with or without the header
		{context.Canceled, true, 1, 0},
		{mismatch, true, 1, 0},
		{balancer.Draining{}, false, 1, 1},
		{nil, false, 1, 1},
		{mismatch, true, 2, 1},
		{nil, false, 2, 2},
	} {
		p.err = step.err
		if err := c.Probe(t.Context(), "10.0.0.1:1883"); err != step.err {
			t.Errorf("step %d: %v", i, err)
		}
		warned := strings.Count(log.String(), "PROXY protocol on one side only")
		agreed := strings.Count(log.String(), "agree about PROXY protocol")
		if got := c.mismatches("10.0.0.1:1883"); got != step.mismatches || warned != step.warned || agreed != step.agreed {
			t.Errorf("step %d: %v, said %d and %d times", i, got, warned, agreed)
		}
		if c.mismatches("10.0.0.2:1883") {
			t.Error("another endpoint has it too")
		}
	}
	if !c.knowsMismatch() || (*check)(nil).knowsMismatch() {
		t.Error("who knows?")
	}
}

func TestACheckMayAskAtAnotherPort(t *testing.T) {
	p := &answering{}
	for asked, want := range map[atPort]string{
		{0, p}:     "[::1]:1883",
		{18083, p}: "[::1]:18083",
	} {
		if err := asked.Probe(t.Context(), "[::1]:1883"); err != nil || p.addr != want {
			t.Errorf("%d: asked %s, %v", asked.port, p.addr, err)
		}
	}
	if err := (atPort{1, p}).Probe(t.Context(), "no port"); err == nil {
		t.Error("an address without a port")
	}
}

func TestNoTwoProcessesProbeUnderOneName(t *testing.T) {
	one, two := probeName(), probeName()
	if one == two || !strings.HasPrefix(one, "mqedge-probe-") {
		t.Errorf("%s and %s", one, two)
	}
}

func TestACheckEndsWithWhatItWasMadeOfAndNotBefore(t *testing.T) {
	const checked = `upstreams:
  back: {health: {active: {type: tcp, interval: 100ms}}, endpoints: [{address: "ECHO"}]}
`
	text, _, _ := strings.Cut(oneListener, "upstreams:")
	h := startEdge(t, text+checked, Options{})
	now := func(upstream string) *check { return h.current.Load().upstreams[upstream].check }
	ended := func(c *check) bool {
		select {
		case <-c.run.done:
			return true
		default:
			return false
		}
	}
	first := now("back")
	if err := h.rewrite("over: 0s", "over: 1s"); err != nil {
		t.Fatal(err)
	}
	if now("back") != first || ended(first) {
		t.Error("it did not go on over a reload that changes something else")
	}
	for _, step := range []struct {
		upstream string // afterwards
		change   []string
	}{
		{"back", []string{"type: tcp", "type: tcp, fall: 2"}},
		{"back", []string{"{health", "{send_proxy: v1, health"}},
		{"rear", []string{"upstream: back", "upstream: rear", "back: {", "rear: {"}},
	} {
		if err := h.rewrite(step.change...); err != nil {
			t.Fatal(err)
		}
		if !ended(first) {
			t.Errorf("it outlived %q", step.change)
		}
		if first = now(step.upstream); ended(first) {
			t.Errorf("there is none after %q", step.change)
		}
	}
	h.stop()
	h.waitEnd()
	if !ended(first) {
		t.Error("it outlived the edge")
	}
}
