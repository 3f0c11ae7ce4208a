package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestAHundredReloadsUnderTrafficLoseNoConnectionAndRefuseNone(t *testing.T) {
	t.Parallel()
	const publishers, newcomers, reloads = 32, 4, 100
	pki, a, b := newAuthority(t), startBroker(t), startBroker(t)
	pair := pki.server().yaml()
	configs := []string{
		fmt.Sprintf(`
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, idle_timeout: 60s, tls: {certificates: [%s]}}
  extra: {bind: 127.0.0.2:0, upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, endpoints: %s}
`, pair, endpoints(a.Addr(), b.Addr())),
		fmt.Sprintf(`
log: {level: debug, format: json}
access_log: {format: nginx}
listeners:
  mqtts: {bind: [127.0.0.1:0, 127.0.0.3:0], upstream: nodes, max_connections: 1000, tls: {certificates: [%s], min_version: "1.3"}}
upstreams:
  nodes: {balance: least_conn, send_proxy: v2, tries: 1, endpoints: %s}
`, pair, endpoints(b.Addr())),
	}
	e := start(t, configs[0])
	addr, pid := e.addr("mqtts"), e.cmd.Process.Pid
	before := e.metrics()

	var crowd []*device
	for i := range publishers {
		crowd = append(crowd, mustConnect(t, addr, pki.trusting(), fmt.Sprintf("stays-%d", i)))
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	var published, came atomic.Int64
	until := func(step func(n int) error) {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := step(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, d := range crowd {
		until(func(int) error {
			published.Add(1)
			return d.publish("traffic", []byte("a message"))
		})
	}
	for i := range newcomers {
		until(func(n int) error {
			d, err := connect(addr, pki.trusting(), fmt.Sprintf("comes-%d-%d", i, n))
			if err != nil {
				return fmt.Errorf("a new connection: %w", err)
			}
			came.Add(1)
			if err := d.ping(); err != nil {
				return fmt.Errorf("a new connection, once served: %w", err)
			}
			return d.leave()
		})
	}
	for n := 1; n <= reloads && !t.Failed(); n++ {
		e.reload(configs[n%2])
	}
	close(stop)
	work.Wait()
	for _, d := range crowd {
		if err := d.ping(); err != nil {
			t.Errorf("a connection from before the reloads: %v", err)
		}
	}
	t.Logf("%d messages and %d new connections during %d reloads", published.Load(), came.Load(), reloads)
	if came.Load() < reloads/4 {
		t.Error("too few connections to tell")
	}

	if e.cmd.Process.Pid != pid || e.addr("mqtts") != addr {
		t.Error("another process or port than at first")
	}
	after := e.metrics()
	for series, n := range after {
		if strings.HasPrefix(series, `mqedge_connections_refused_total{listener="mqtts"`) && n > 0 {
			t.Errorf("%s is %v", series, n)
		}
	}
	if got := after[`mqedge_connections_accepted_total{listener="mqtts"}`]; int64(got) != publishers+came.Load() {
		t.Errorf("%v connections were accepted, want %d: counters go on", got, publishers+came.Load())
	}
	e.awaitActive("mqtts", publishers)
	for _, d := range crowd {
		must(t, d.leave())
	}
	e.awaitActive("mqtts", 0)
	e.awaitNoMoreThan(before)
}

// awaitNoMoreThan waits until the process holds as little as at an earlier time: what a generation had must go with it.
func (e *edge) awaitNoMoreThan(before map[string]float64) {
	e.t.Helper()
	eventually(e.t, func() string {
		after := e.metrics()
		for _, gauge := range []string{"process_open_fds", "go_goroutines"} {
			if after[gauge] > before[gauge]+8 {
				return fmt.Sprintf("%s is %v, and was %v", gauge, after[gauge], before[gauge])
			}
		}
		return ""
	})
}

func TestFailedReloadsLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	config := fmt.Sprintf(oneCertificate, pki.server().yaml(), endpoints(node.address()))
	e := start(t, config)
	before := e.metrics()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	e.configure("access_log: {path: new.log}\n" + strings.Replace(config, "listeners:", fmt.Sprintf(
		"listeners:\n  another: {bind: [127.0.0.2:0, 127.0.0.3:0], upstream: emqx}\n  taken: {bind: %q, upstream: emqx}", taken.Addr()), 1))
	for range 40 {
		if e.hup() {
			t.Fatal("a reload took a port that somebody has")
		}
	}
	e.awaitNoMoreThan(before)
	mustConnect(t, e.addr("mqtts"), pki.trusting(), "comes")
	e.awaitMetric(`mqedge_certificate_reload_failed{kind="listener",name="mqtts"}`, 0)
}

func TestABadFileChangesNothingAndSaysWhere(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	good := fmt.Sprintf("listeners:\n  mqtt: {bind: 127.0.0.1:0, upstream: emqx}\nupstreams:\n  emqx: {endpoints: %s}\n", endpoints(node.address()))
	e := start(t, good)
	addr := e.addr("mqtt")
	d := mustConnect(t, addr, nil, "stays")
	before := e.call("GET", "/api/v1/config")

	e.configure(strings.Replace(good, "upstream: emqx", "upstream: emxq, idle_timout: 5s", 1))
	status, body, err := e.request("POST", "/api/v1/reload", "")
	must(t, err)
	if status != 422 || !containsAll(body, []string{
		"mqedge.yaml:4:39: listeners.mqtt.upstream: there is no upstream", "did you mean",
		"mqedge.yaml:4:45: listeners.mqtt.idle_timout: ", "idle_timeout",
	}) {
		t.Errorf("POST /api/v1/reload: %d %s", status, body)
	}
	if e.hup() {
		t.Error("SIGHUP took a bad file")
	}
	e.awaitLog("reload failed", "stays in force", "mqedge.yaml:4:39")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	e.configure(strings.Replace(good, "listeners:", fmt.Sprintf("listeners:\n  other: {bind: %q, upstream: emqx}", taken.Addr()), 1))
	status, body, err = e.request("POST", "/api/v1/reload", "")
	must(t, err)
	if status != 422 || !containsAll(body, []string{"listeners.other.bind", taken.Addr().String(), "ss -ltnp"}) {
		t.Errorf("with a taken port: %d %s", status, body)
	}

	must(t, os.Remove(e.path("mqedge.yaml")))
	if e.hup() {
		t.Error("SIGHUP took a file that is not there")
	}
	if e.call("GET", "/api/v1/config") != before || e.addr("mqtt") != addr {
		t.Error("something has changed")
	}
	must(t, d.ping())
	mustConnect(t, addr, nil, "comes")
	e.awaitMetric(`mqedge_reloads_total{result="failed"}`, 4)
	e.awaitMetric(`mqedge_reloads_total{result="ok"}`, 0)
}

func TestAPortGoesOverToAListenerOfAnotherName(t *testing.T) {
	t.Parallel()
	node, addr := startFake(t, acknowledge), deadAddress(t)
	config := `
listeners:
  %s: {bind: %q, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`
	e := start(t, fmt.Sprintf(config, "old", addr, endpoints(node.address())))
	d := mustConnect(t, addr, nil, "stays")
	e.reload(fmt.Sprintf(config, "new", addr, endpoints(node.address())))
	must(t, d.ping())
	mustConnect(t, addr, nil, "comes")
	e.awaitActive("new", 1)
	for series := range e.metrics() {
		if strings.Contains(series, `listener="old"`) {
			t.Errorf("still there: %s", series)
		}
	}
	must(t, d.leave())
	if line := e.awaitAccess("mqtt_client_id", "stays"); line["listener"] != "old" {
		t.Errorf("access log: %v", line)
	}
}

func TestAListenerThatIsTakenOutClosesItsPortAndKeepsItsConnections(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	both := fmt.Sprintf(`
upstreams:
  emqx: {endpoints: %s}
listeners:
  kept: {bind: 127.0.0.1:0, upstream: emqx}
`, endpoints(node.address()))
	e := start(t, both+"  gone: {bind: 127.0.0.2:0, upstream: emqx}\n")
	addr := e.addr("gone")
	d := mustConnect(t, addr, nil, "stays")
	e.reload(both)
	if _, err := connect(addr, nil, "late"); err == nil {
		t.Error("the port still takes connections")
	}
	must(t, d.ping())
	must(t, d.leave())
	e.awaitAccess("mqtt_client_id", "stays")
}

func TestListenersOnFreePortsKeepTheirPortsAcrossReloads(t *testing.T) {
	t.Parallel()
	e := start(t, fmt.Sprintf(`
listeners:
  a: {bind: 127.0.0.1:0, upstream: emqx}
  b: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`, endpoints(startFake(t, acknowledge).address())))
	a, b := e.addr("a"), e.addr("b")
	if !e.hup() {
		t.Fatal("the reload failed")
	}
	if e.addr("a") != a || e.addr("b") != b {
		t.Errorf("a was at %s and is at %s, b was at %s and is at %s", a, e.addr("a"), b, e.addr("b"))
	}
	for listener, addr := range map[string]string{"a": a, "b": b} {
		mustConnect(t, addr, nil, "client-of-"+listener)
		if list := fetch[[]connectionState](e, "/api/v1/connections?listener="+listener); len(list) != 1 {
			t.Errorf("%s has %d connections, want its own", listener, len(list))
		}
	}
}

func TestEndpointsComeAndGoWithTheFile(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	config := `
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`
	e := start(t, fmt.Sprintf(config, endpoints(a.address())))
	old := crowd(t, e, 2)
	e.reload(fmt.Sprintf(config, endpoints(a.address(), b.address())))
	if got := e.endpoint("emqx", a.address()); got.Connections != 2 || got.Connects != 2 {
		t.Errorf("the counters of an endpoint that stays: %+v", got)
	}
	crowd(t, e, 2)
	if b.came() != 2 {
		t.Errorf("least_conn gave the new endpoint %d of 2 connections", b.came())
	}
	e.reload(fmt.Sprintf(config, endpoints(b.address())))
	for series := range e.metrics() {
		if strings.Contains(series, a.address()) {
			t.Errorf("a series of an endpoint that is gone: %s", series)
		}
	}
	for _, d := range old {
		must(t, d.ping())
	}
	crowd(t, e, 2)
	if a.came() != 2 || b.came() != 4 {
		t.Errorf("%d and %d connections, want 2 and 4", a.came(), b.came())
	}
}

func TestTheAccessLogMovesWithTheFileForAllConnectionsThatEndFromThenOn(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	config := `
access_log: {path: %s, format: $listener $mqtt_client_id}
upstreams:
  emqx: {endpoints: ` + endpoints(node.address()) + `}
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
`
	e := start(t, fmt.Sprintf(config, "old.log")+"  gone: {bind: 127.0.0.2:0, upstream: emqx}\n")
	lines := func(file, want string) {
		t.Helper()
		eventually(t, func() string {
			text, err := os.ReadFile(e.path(file))
			if err != nil || string(text) != want {
				return fmt.Sprintf("%s holds %q, want %q (%v)", file, text, want, err)
			}
			return ""
		})
	}
	must(t, mustConnect(t, e.addr("mqtt"), nil, "early").leave())
	lines("old.log", "mqtt early\n")
	stays, ofGone := mustConnect(t, e.addr("mqtt"), nil, "stays"), mustConnect(t, e.addr("gone"), nil, "outlives")

	e.reload(fmt.Sprintf(config, "new.log"))
	must(t, stays.leave())
	lines("new.log", "mqtt stays\n")
	e.awaitOldAccessLogClosed("old.log")
	must(t, ofGone.leave()) // its listener is in no configuration any more
	lines("new.log", "mqtt stays\ngone outlives\n")
	lines("old.log", "mqtt early\n")
}

// awaitOldAccessLogClosed waits until the process has no descriptor of the file.
func (e *edge) awaitOldAccessLogClosed(file string) {
	e.t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", e.cmd.Process.Pid)
	if _, err := os.Stat(folder); err != nil {
		without(e.t, "which files are open: "+err.Error())
	}
	eventually(e.t, func() string {
		descriptors, err := os.ReadDir(folder)
		must(e.t, err)
		for _, d := range descriptors {
			if to, _ := os.Readlink(folder + "/" + d.Name()); to == e.path(file) {
				return file + " is still open"
			}
		}
		return ""
	})
}

func TestReloadsThatOverlapAllSucceed(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(node.address())))
	d := mustConnect(t, e.addr("mqtt"), nil, "stays")
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 5 {
				if status, body, err := e.request("POST", "/api/v1/reload", ""); status != 200 {
					t.Errorf("%d %s %v", status, body, err)
				}
				if err := e.cmd.Process.Signal(syscall.SIGHUP); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	must(t, d.ping())
	mustConnect(t, e.addr("mqtt"), nil, "comes")
	e.awaitMetric(`mqedge_reloads_total{result="failed"}`, 0)
}
