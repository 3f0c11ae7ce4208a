package probe_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
)

func TestManyProbesAtOnceLeaveNoDescriptorBehind(t *testing.T) {
	_, client := certificate(t)
	alive := listen(t, answer(accepted5...))
	web := serve(t, (&emqx{availability: noSuchAPI, status: running}).ServeHTTP)
	addrs := []string{alive, web, listen(t, silent), listen(t, reset), listen(t, func(net.Conn) {})}
	probers := []balancer.Prober{
		probe.TCP{}, probe.MQTT{}, probe.MQTT{Proxy: 2}, probe.MQTT{TLS: client}, probe.HTTP{}, &probe.EMQX{Port: portOf(t, web)},
	}
	before := descriptors(t)
	var wg sync.WaitGroup
	for range 4 {
		for _, addr := range addrs {
			for _, p := range probers {
				wg.Go(func() { p.Probe(within(t, 300*time.Millisecond), addr) })
			}
		}
	}
	wg.Wait()
	tick := time.NewTicker(10 * time.Millisecond) // the fakes are in this process too
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		now := descriptors(t)
		if now <= before {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", now, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
