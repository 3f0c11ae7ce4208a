package admin

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"
)

// scene is a process as the dashboard's tests want it: what it shows can be changed while a page looks at it.
type scene struct {
	process
	state   sync.Mutex
	now     Status
	list    EventList
	samples History
}

func (s *scene) locked(f func()) {
	s.state.Lock()
	defer s.state.Unlock()
	f()
}

func get[T any](s *scene, f func() T) T {
	s.state.Lock()
	defer s.state.Unlock()
	return f()
}

func (s *scene) Listeners() []Listener {
	return get(s, func() []Listener { return slices.Clone(s.now.Listeners) })
}

func (s *scene) Upstreams() []Upstream {
	return get(s, func() []Upstream {
		out := slices.Clone(s.now.Upstreams)
		for i := range out {
			out[i].Endpoints = slices.Clone(out[i].Endpoints)
		}
		return out
	})
}

func (s *scene) Members() []Member {
	return get(s, func() []Member { return slices.Clone(s.now.Members) })
}

func (s *scene) Certificates() []Certificate {
	return get(s, func() []Certificate { return slices.Clone(s.now.Certificates) })
}

func (s *scene) Events(since uint64) EventList {
	return get(s, func() EventList {
		l := s.list
		l.Events = slices.DeleteFunc(slices.Clone(s.list.Events), func(e Event) bool { return e.ID <= since && since <= l.Last })
		return l
	})
}

func (s *scene) History(since uint64) History {
	return get(s, func() History {
		if since == 0 || since > s.samples.Last {
			return s.samples
		}
		h := History{Seconds: 2, Last: s.samples.Last, Time: s.samples.Time} // nothing new
		for _, l := range s.samples.Listeners {
			h.Listeners = append(h.Listeners, ListenerHistory{Name: l.Name})
		}
		for _, u := range s.samples.Upstreams {
			u = UpstreamHistory{Name: u.Name, Calls: u.Calls}
			if u.Calls != nil {
				u.Calls = &CallHistory{}
			}
			h.Upstreams = append(h.Upstreams, u)
		}
		return h
	})
}

func (s *scene) Connections(ConnectionFilter) (int, iter.Seq[Connection]) {
	return 0, slices.Values([]Connection(nil))
}

// Drain and Enable do what the real ones do to what is shown.
func (s *scene) Drain(upstream, endpoint string, how Drain) error {
	s.endpoint(endpoint, func(e *Endpoint) { e.Draining, e.Reason = true, "drained by hand" })
	s.happened("info", "endpoint drained by hand", "upstream", upstream, "endpoint", endpoint)
	return s.process.Drain(upstream, endpoint, how)
}

func (s *scene) DrainsOn(bool) string { return "" }

func (s *scene) Enable(upstream, endpoint string, local bool) error {
	s.endpoint(endpoint, func(e *Endpoint) { e.Draining, e.Reason = false, "" })
	s.happened("info", "endpoint enabled by hand", "upstream", upstream, "endpoint", endpoint)
	return s.process.Enable(upstream, endpoint, local)
}

func (s *scene) endpoint(address string, change func(*Endpoint)) {
	s.locked(func() {
		for _, u := range s.now.Upstreams {
			for i := range u.Endpoints {
				if u.Endpoints[i].Address == address {
					change(&u.Endpoints[i])
				}
			}
		}
	})
}

func (s *scene) happened(level, text string, attributes ...string) {
	s.locked(func() {
		s.list.Last++
		e := Event{ID: s.list.Last, FirstID: s.list.Last, Time: time.Now(), FirstTime: time.Now(), Count: 1, Level: level, Text: text}
		for i := 0; i+1 < len(attributes); i += 2 {
			e.Attributes = append(e.Attributes, Attribute{attributes[i], attributes[i+1]})
		}
		s.list.Events = append(s.list.Events, e)
	})
}

// calls is what the process was told to do.
func (s *scene) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.drained)
}

// wave is a made-up series.
func wave(base, swing float64, from int) Series {
	out := make(Series, 300)
	for i := range out {
		if i < from {
			out[i] = float32(math.NaN())
			continue
		}
		x := float64(i)
		out[i] = float32(base + swing*(math.Sin(x/23)+.5*math.Sin(x/7+1)+.25*math.Sin(x/2.3)))
	}
	return out
}

// busy is a scene with something of everything.
func busy() *scene { return busyAt(time.Now()) }

func busyAt(now time.Time) *scene {
	s := &scene{process: process{config: "drain: {over: 30s}\n"}}
	s.now.Listeners = []Listener{
		{
			Name: "mqtts", Addresses: []string{"0.0.0.0:8884", "[::]:8884"}, Protocol: "mqtt", TLS: true, Upstream: "emqx", Active: 48210, Accepted: 1903112,
			Refused: map[string]uint64{"tls_failed": 120, "connect_rate": 7}, BytesIn: 3 << 30, BytesOut: 717 << 20,
			LastRefusal: "tls_failed: remote error: tls: unknown certificate authority",
		},
		{Name: "wss", Addresses: []string{"0.0.0.0:8084"}, Protocol: "mqtt_ws", TLS: true, Upstream: "emqx", Active: 3121, Accepted: 90231},
		{Name: "hooks", Addresses: []string{"127.0.0.1:9000"}, Protocol: "grpc", Upstream: "hooks", Active: 4, Accepted: 12},
	}
	s.now.Upstreams = []Upstream{
		{Name: "emqx", Protocol: "mqtt", Endpoints: []Endpoint{
			{Address: "10.0.0.11:1883", Weight: 1, Source: "gossip", Up: true, Connections: 17002, Connects: 900123, AnswerSeconds: 0.0042},
			{Address: "10.0.0.12:1883", Weight: 1, Source: "gossip", Up: true, Connections: 16950, Connects: 700120, Failures: 2, AnswerSeconds: 0.0038},
			{Address: "10.0.0.13:1883", Weight: 2, Source: "gossip", Up: true, Connections: 17168, Connects: 700120, AnswerSeconds: 0.61},
			{Address: "10.0.0.14:1883", Weight: 1, Source: "static", Up: true, Draining: true, Reason: "drained by hand", Connections: 211, Connects: 500120},
			{
				Address: "10.0.0.15:1883", Weight: 1, Source: "gossip", Ejected: true, Connects: 500120, Failures: 31,
				Reason: "3 failures in 10s, the last one while dialling: connection refused; tried again at 12:00:07",
			},
			{Address: "[2001:db8::16]:1883", Weight: 1, Source: "dns", Reason: "check failed: no answer within 2s (3 of 3)"},
		}},
		{Name: "hooks", Protocol: "grpc", Endpoints: []Endpoint{
			{Address: "10.0.0.21:9000", Weight: 1, Source: "static", Up: true, Provider: &Provider{
				Connected: true, Loaded: true, Nodes: []string{"emqx@10.0.0.11", "emqx@10.0.0.12"},
				Hooks: []string{"emqx.exhook.v3 client.authenticate", "emqx.exhook.v3 message.publish (#)"}, InFlight: 3, Calls: 120031, Failures: 2, Seconds: 0.0013,
			}},
			{Address: "10.0.0.22:9000", Weight: 1, Source: "static", Reason: "not connected: connection refused, next try in 2s", Provider: &Provider{Calls: 100, Failures: 9}},
		}, ExHook: &ExHook{
			Nodes: []Node{{Name: "emqx@10.0.0.11", Version: "5.8.9", Protocol: "emqx.exhook.v3", Calls: 80120}, {Name: "emqx@10.0.0.12", Version: "5.8.9", Protocol: "emqx.exhook.v3", Calls: 39911}},
			Drift: []Drift{{Node: "emqx@10.0.0.12", Unknown: []string{"message.dropped"}}},
			Hooks: []Hook{
				{Name: "client.authenticate", Providers: 1, Calls: 4210, Seconds: 9, Fallbacks: 3, Errors: 3},
				{Name: "client.connected", Providers: 1, Calls: 4180, Seconds: 1, EarlyQueued: 4180},
				{Name: "message.publish", Providers: 1, Calls: 111021, Seconds: 140},
			},
		}},
	}
	s.now.Members = []Member{
		{Name: "edge-1-a", Host: "edge-1", Address: "10.0.0.1:7946", Alive: true, Self: true, Since: now.Add(-75 * time.Hour)},
		{Name: "node-11-a", Host: "node-11", Address: "10.0.0.11:7946", Alive: true, Since: now.Add(-70 * time.Hour)},
		{Name: "node-15-a", Host: "node-15", Address: "10.0.0.15:7946", Since: now.Add(-2 * time.Minute)},
	}
	s.now.Certificates = []Certificate{
		{File: "/etc/mqedge/tls/edge.pem", Listeners: []string{"mqtts", "wss"}, Names: []string{"edge.example.com", "*.example.com"}, NotAfter: now.Add(61*24*time.Hour + time.Hour)},
		{File: "/etc/mqedge/tls/old.pem", Listeners: []string{"mqtts"}, Names: []string{"old.example.com"}, NotAfter: now.Add(9*24*time.Hour + time.Hour),
			Error: "key.pem: permission denied; the certificate loaded before stays in use"},
	}
	s.samples = History{Seconds: 2, Last: 300, Time: now,
		Listeners: []ListenerHistory{
			{Name: "mqtts", Active: wave(47000, 900, 0), Accepted: wave(120, 40, 0), Refused: wave(3, 1.5, 0), BytesIn: wave(9e6, 2e6, 0), BytesOut: wave(4e6, 1e6, 0),
				MessagesIn: wave(41000, 9000, 0), MessagesOut: wave(18000, 4000, 0)},
			{Name: "wss", Active: wave(3000, 90, 0), Accepted: wave(9, 4, 0), Refused: wave(0, 0, 0), BytesIn: wave(2e5, 2e4, 0), BytesOut: wave(9e4, 1e4, 0),
				MessagesIn: wave(900, 90, 0), MessagesOut: wave(410, 45, 0)},
			{Name: "hooks", Active: wave(4, 0, 60), Accepted: wave(0, 0, 60), Refused: wave(0, 0, 60), BytesIn: wave(3e5, 1e5, 60), BytesOut: wave(1e5, 3e4, 60),
				MessagesIn: wave(0, 0, 300), MessagesOut: wave(0, 0, 300)},
		},
		Upstreams: []UpstreamHistory{
			{Name: "emqx", Connections: wave(50000, 900, 0), Connects: wave(130, 40, 0), Failures: wave(.2, .1, 0), Answer: wave(.004, .0006, 0), Slowest: wave(.4, .15, 0)},
			{Name: "hooks", Connections: wave(2, 0, 60), Connects: wave(0, 0, 60), Failures: wave(0, 0, 60), Calls: &CallHistory{
				Rate: wave(2300, 400, 60), Errors: wave(1, .5, 60), Mean: wave(.0012, .0002, 60), P99: wave(.008, .002, 60),
			}},
		},
	}
	s.happened("info", "serving", "listener", "mqtts", "addresses", "0.0.0.0:8884, [::]:8884", "protocol", "mqtt", "tls", "true", "upstream", "emqx")
	s.happened("info", "reloaded")
	s.happened("info", "gossip member joined", "name", "node-11-a")
	s.happened("error", "changed TLS files cannot be used, the old ones stay in use", "name", "mqtts", "error", "key.pem: permission denied")
	s.happened("warn", "connections were refused", "listener", "mqtts", "refused", "proxy_header_untrusted", "reason", "10.9.9.9 is not in proxy_protocol.trust")
	s.happened("warn", "gossip member is silent, its endpoints are suspected", "name", "node-15-a", "address", "10.0.0.15:7946")
	s.happened("warn", "endpoint is out of use", "upstream", "emqx", "endpoint", "10.0.0.15:1883", "reason", "3 failures in 10s, the last one while dialling: connection refused")
	s.happened("info", "endpoint drained by hand", "upstream", "emqx", "endpoint", "10.0.0.14:1883", "connections", "16233", "over", "30s")
	for i := range s.list.Events {
		s.list.Events[i].Time, s.list.Events[i].FirstTime = now, now
	}
	s.list.Events[6].Count, s.list.Events[6].FirstTime = 3, now.Add(-4*time.Minute)
	return s
}

// many is a scene with n endpoints, each tenth of them down.
func many(n int) *scene {
	s := busy()
	u := Upstream{Name: "many", Protocol: "mqtt"}
	for i := range n {
		e := Endpoint{Address: fmt.Sprintf("10.1.%d.%d:1883", i/200, i%200), Weight: 1, Source: "dns", Up: i%10 != 0, Connections: int64(i), Connects: uint64(i)}
		if !e.Up {
			e.Reason = "check failed: connection refused (3 of 3)"
		}
		u.Endpoints = append(u.Endpoints, e)
	}
	s.now.Upstreams = []Upstream{u}
	return s
}
