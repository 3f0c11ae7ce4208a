package doctor

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/configs"
)

func listen(t *testing.T, network, address string) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func parse(t *testing.T, text string) *configs.Config {
	t.Helper()
	c, problems := configs.Parse("mqedge.yaml", []byte(text))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	return c
}

func TestTheHolderOfATakenPortIsFoundOnARealHost(t *testing.T) {
	for _, test := range []struct{ network, holds, wants string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1:PORT"},
		{"tcp4", "127.0.0.1:0", "0.0.0.0:PORT"},
		{"tcp", "[::]:0", "0.0.0.0:PORT"},
		{"tcp", "[::1]:0", ":PORT"},
		{"tcp4", "127.0.0.1:0", "[::]:PORT"},
		{"tcp4", "0.0.0.0:0", "127.0.0.1:PORT"},
	} {
		ln := listen(t, test.network, test.holds)
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		wants := strings.Replace(test.wants, "PORT", port, 1)
		c := parse(t, `{listeners: {a: {bind: "`+wants+`", upstream: b}}, upstreams: {b: {endpoints: [{address: "127.0.0.1:1"}]}}, admin: {bind: ""}}`)
		h := Read(t.Context(), Options{Config: c, Offline: true})
		if err := h.Binds[wants]; !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s beside %s: %v", wants, ln.Addr(), err)
		}
		found := addresses(subject{c, newNeeds(c), h})
		// The test itself has the port, and a process does not look at itself.
		if len(found) != 1 || found[0].Severity != Error || !strings.Contains(found[0].Why, "is where") {
			t.Errorf("%s beside %s: %+v", wants, ln.Addr(), found)
		}
		ln.Close()
		if err := Read(t.Context(), Options{Config: c, Offline: true}).Binds[wants]; err != nil {
			t.Errorf("%s is free and cannot be bound: %v", wants, err)
		}
	}
}

func TestARealHostIsRead(t *testing.T) {
	h := Read(t.Context(), Options{})
	if h.OpenFiles.Hard == 0 || h.Memory.Total == 0 || h.Release == "" || h.Root != (os.Geteuid() == 0) {
		t.Errorf("%+v", h)
	}
	for _, key := range []string{rangeKey, "net.core.somaxconn"} {
		if h.Sysctls[key] == "" {
			t.Errorf("no %s", key)
		}
	}
	if !h.has(netip.MustParseAddr("127.8.9.10")) || h.has(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("addresses: %v", h.Addresses)
	}
}

func TestEndpointsAreAskedAsMqedgeWould(t *testing.T) {
	closed := listen(t, "tcp4", "127.0.0.1:0")
	closed.Close()
	open := listen(t, "tcp4", "127.0.0.1:0")
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := open.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	c := parse(t, `
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: mqtt}
  tcp: {bind: "127.0.0.1:0", upstream: tcp, protocol: tcp}
upstreams:
  mqtt: {endpoints: [{address: "`+closed.Addr().String()+`"}, {address: "does-not-exist.invalid:1883"}]}
  tcp: {endpoints: [{address: "`+open.Addr().String()+`"}]}
`)
	h := new(Host)
	Ask(t.Context(), h, Options{Config: c})
	open.Close()
	<-accepted
	if err := h.Endpoints["upstreams.mqtt.endpoints[0].address"]; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
	if err, asked := h.Endpoints["upstreams.tcp.endpoints[0].address"]; err != nil || !asked {
		t.Errorf("an open port: %v", err)
	}
	report := Examine(c, h).Text()
	for _, part := range []string{"upstream mqtt: none of its endpoints can be used", closed.Addr().String() + "  connection refused", "does-not-exist.invalid:1883  the name cannot be resolved"} {
		if !strings.Contains(report, part) {
			t.Errorf("%q is not in\n%s", part, report)
		}
	}
}
