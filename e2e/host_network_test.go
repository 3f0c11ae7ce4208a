package e2e

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// instancePorts are those of docs/host-network.md.
func instancePorts(number int) []string {
	return []string{fmt.Sprint(61880 + number), fmt.Sprint(61890 + number), fmt.Sprint(61870 + number)}
}

func TestTheExampleOfAHostNetworkServesInstancesThatComeAndAreKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	edgeHost, host := c.net+"1", c.net+"2"
	addresses := func(number int) (all []string) {
		for _, port := range instancePorts(number) {
			all = append(all, host+":"+port)
		}
		return all
	}
	var instances []*instance
	var present []string
	for number := 1; number <= 5; number++ {
		instances = append(instances, startInstance(t, addresses(number)...))
		present = append(present, addresses(number)...)
	}
	pki := newAuthority(t)
	pair := pki.server()
	key, errs, code := run(t, "keygen")
	if code != 0 {
		t.Fatal(errs)
	}
	c.keys = key

	e := c.prepare(example(t, "host-network-edge.yaml", map[string]string{
		"0.0.0.0:8884": edgeHost + ":8884", "127.0.0.1:7946": edgeHost + ":7946", "key_file: gossip.keys": "key_file: keys",
		"certs/cert.pem": pair.cert, "certs/key.pem": pair.key, "/var/lib/mqedge/gossip.json": filepath.Join(t.TempDir(), "gossip.json"),
	}))
	e.launch()
	agentConfig := example(t, "host-network-agent.yaml", map[string]string{
		"127.0.0.1:7946": edgeHost + ":7946", "127.0.0.1:7947": host + ":7947", "127.0.0.1:9902": "127.0.0.1:0", "key_file: gossip.keys": "key_file: keys",
	})
	agent := c.prepare(agentConfig)
	agent.launch()
	e.awaitReady()
	agent.awaitReady()
	e.awaitEndpoints("emqx", present...)

	clients := newReturners(t, edgeHost+":8884", pki.trusting(), 60)
	for i, in := range instances {
		if n := e.connectionsOn(in); n == 0 {
			t.Errorf("instance %d has none of the 60 clients", i+1)
		}
	}

	// A sixth instance: the agent is told, the edge is not.
	began := time.Now()
	sixth := startInstance(t, addresses(6)...)
	const line = `    - {service: emqx, address: ":%s", send_proxy: v2, check: {type: mqtt}}` + "\n"
	for _, port := range instancePorts(6) {
		agentConfig = strings.TrimRight(agentConfig, "\n") + "\n" + fmt.Sprintf(line, port)
	}
	if !strings.Contains(agentConfig, fmt.Sprintf(line, instancePorts(5)[2])) {
		t.Fatal("the lines of the example look otherwise")
	}
	agent.reload(agentConfig)
	e.awaitEndpoints("emqx", append(present, addresses(6)...)...)
	for i := range 12 {
		mustConnect(t, edgeHost+":8884", pki.trusting(), fmt.Sprint("later-", i))
	}
	if n := e.connectionsOn(sixth); n != 12 { // the others have 4 on each port
		t.Errorf("%d of 12 clients came to the instance that has least", n)
	}
	took := time.Since(began)
	t.Logf("the sixth instance had clients %v after it was started", took.Round(time.Millisecond))
	if took > patience()/3 {
		t.Errorf("the sixth instance had clients after %v", took)
	}
	if n := e.metrics()[`mqedge_reloads_total{result="ok"}`]; n != 0 {
		t.Errorf("the edge was reloaded %v times", n)
	}

	// kill -9 of an instance with clients.
	victims := e.connectionsOn(instances[1])
	instances[1].kill()
	clients.awaitReturns(victims)
	most := clients.check()
	t.Logf("%d clients of the killed instance were back within %v", victims, most.Round(time.Millisecond))
	if most > patience()/3 {
		t.Errorf("a client was without connection for %v", most)
	}
	if n := e.connectionsOn(instances[1]); n != 0 {
		t.Errorf("%d clients on an instance that was killed", n)
	}
}

// connectionsOn is how many clients the edge has on an instance.
func (e *edge) connectionsOn(i *instance) (n int) {
	for _, ep := range e.upstream("emqx").Endpoints {
		if slices.Contains(i.addresses, ep.Address) {
			n += int(ep.Connections)
		}
	}
	return n
}

// returners are clients that connect again, once, as soon as they lose their connection.
type returners struct {
	t    testing.TB
	mu   sync.Mutex
	gaps []time.Duration // how long they were without
	bad  []error
}

func newReturners(t testing.TB, address string, config *tls.Config, size int) *returners {
	t.Helper()
	c := &returners{t: t}
	var living sync.WaitGroup
	var first []*device
	for i := range size {
		d, err := connect(address, config, fmt.Sprint("returner-", i))
		must(t, err)
		first = append(first, d)
	}
	over := make(chan struct{})
	t.Cleanup(func() {
		close(over)
		for _, d := range first {
			d.Close()
		}
		living.Wait()
	})
	for i, d := range first {
		living.Go(func() { c.live(d, over, address, config, fmt.Sprint("returner-", i)) })
	}
	return c
}

func (c *returners) live(d *device, over <-chan struct{}, address string, config *tls.Config, id string) {
	d.SetDeadline(time.Time{})
	d.Read(make([]byte, 1)) // until the connection ends: nobody sends anything
	lost := time.Now()
	d.Close()
	select {
	case <-over:
		return
	default:
	}
	again, err := connect(address, config, id)
	c.mu.Lock()
	c.gaps = append(c.gaps, time.Since(lost))
	if err != nil {
		c.bad = append(c.bad, err)
	}
	c.mu.Unlock()
	if err != nil {
		return
	}
	defer again.Close()
	again.SetDeadline(time.Time{})
	go func() { <-over; again.Close() }()
	again.Read(make([]byte, 1))
	select {
	case <-over:
	default:
		c.mu.Lock()
		c.bad = append(c.bad, fmt.Errorf("%s lost its connection a second time", id))
		c.mu.Unlock()
	}
}

// awaitReturns waits until so many have tried to connect again.
func (c *returners) awaitReturns(n int) {
	c.t.Helper()
	eventually(c.t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.gaps) < n {
			return fmt.Sprintf("%d of %d came back", len(c.gaps), n)
		}
		return ""
	})
}

// check returns the longest time without a connection.
func (c *returners) check() time.Duration {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.bad {
		c.t.Error(err)
	}
	return slices.Max(append(c.gaps, 0))
}
