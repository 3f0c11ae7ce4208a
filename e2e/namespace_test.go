package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A network of hosts, each of them a namespace with two interfaces: one for gossip, 10.77.0.N, and one for MQTT, 10.78.0.N. Both lead
// to bridges in a namespace of their own, where they can be cut without the host noticing, alone or several together.

const namespacePrefix = "mqedge-e2e-"

type internet struct {
	t       testing.TB
	name    string // of its namespaces, without what each is for
	hosts   []*host
	bridges string
}

type host struct {
	of                     *internet
	namespace              string
	number                 int
	gossipAddr, brokerAddr string // addresses
	client                 *http.Client
}

// newInternet makes the namespaces, or skips the test where that cannot be done. They go with the test; those of a
// test run that was killed go with the next.
func newInternet(t testing.TB, what string, hosts int) *internet {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("NOT TESTED: there is no program `ip` to make network namespaces with")
	}
	n := &internet{t: t, name: fmt.Sprintf("%s%d-%s", namespacePrefix, os.Getpid(), what)}
	n.bridges = n.name + "-switch"
	sweepNamespaces()
	t.Cleanup(func() {
		deleteNamespace(n.bridges)
		for _, h := range n.hosts {
			deleteNamespace(h.namespace)
		}
	})
	if out, err := exec.Command("ip", "netns", "add", n.bridges).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: network namespaces cannot be made here: %v: %s", err, out)
	}
	if out, err := exec.Command("ip", "-n", n.bridges, "link", "add", "gossip", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: bridges cannot be made in network namespaces here: %v: %s", err, out)
	}
	n.ip("-n", n.bridges, "link", "set", "gossip", "up")
	for _, bridge := range []string{"data", "gossip-beyond", "data-beyond"} {
		n.ip("-n", n.bridges, "link", "add", bridge, "type", "bridge")
		n.ip("-n", n.bridges, "link", "set", bridge, "up")
	}
	for i := 1; i <= hosts; i++ {
		h := &host{
			of: n, number: i, namespace: fmt.Sprintf("%s-%d", n.name, i),
			gossipAddr: fmt.Sprintf("10.77.0.%d", i), brokerAddr: fmt.Sprintf("10.78.0.%d:1883", i),
		}
		n.hosts = append(n.hosts, h)
		h.client = &http.Client{Transport: &http.Transport{DialContext: h.dialContext, DisableKeepAlives: true}}
		must(t, os.MkdirAll(h.etc(), 0o755)) // what is in it takes the place of the files in /etc for its processes
		h.resolve("")
		n.ip("netns", "add", h.namespace)
		n.ip("-n", h.namespace, "link", "set", "lo", "up")
		for net, bridge := range map[string]string{"77": "gossip", "78": "data"} {
			n.ip("-n", n.bridges, "link", "add", h.port(bridge), "type", "veth", "peer", "name", bridge, "netns", h.namespace)
			n.ip("-n", n.bridges, "link", "set", h.port(bridge), "master", bridge, "up")
			n.ip("-n", h.namespace, "address", "add", fmt.Sprintf("10.%s.0.%d/24", net, i), "dev", bridge)
			n.ip("-n", h.namespace, "link", "set", bridge, "up")
		}
	}
	return n
}

func (n *internet) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// port is the end of one of its cables at the switch.
func (h *host) port(bridge string) string { return fmt.Sprintf("%s%d", bridge, h.number) }

// cut makes packets to and from the host vanish on the network for gossip, or that for data, except between those that are cut
// off. Nobody is told.
func (h *host) cut(bridge string) {
	h.of.t.Helper()
	h.of.ip("-n", h.of.bridges, "link", "set", h.port(bridge), "master", bridge+"-beyond")
}

func (h *host) mend(bridge string) {
	h.of.t.Helper()
	h.of.ip("-n", h.of.bridges, "link", "set", h.port(bridge), "master", bridge)
}

// etc is what `ip netns exec` looks into.
func (h *host) etc() string { return filepath.Join("/etc/netns", h.namespace) }

// resolve replaces the hosts file of the host's processes.
func (h *host) resolve(lines string) {
	h.of.t.Helper()
	mustWrite(h.of.t, filepath.Join(h.etc(), "hosts"), []byte("127.0.0.1 localhost\n"+lines))
}

// command is a program on the host.
func (h *host) command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.namespace, name}, args...)...)
}

// prepare is newEdge on the host, with the key file in place.
func (h *host) prepare(c *cluster, config string) *edge {
	h.of.t.Helper()
	e := c.prepare(config)
	on := h.command(e.cmd.Path, e.cmd.Args[1:]...)
	e.cmd.Path, e.cmd.Args, e.client = on.Path, on.Args, h.client
	return e
}

// dial connects from the host.
func (h *host) dial(address string) (net.Conn, error) {
	return h.dialContext(context.Background(), "tcp", address)
}

func (h *host) dialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var file *os.File
		if file, err = os.Open(filepath.Join("/var/run/netns", h.namespace)); err != nil {
			return
		}
		defer file.Close()
		if err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		conn, err = (&net.Dialer{Timeout: patience()}).DialContext(ctx, network, address)
	}()
	<-done
	return conn, err
}

func deleteNamespace(name string) {
	exec.Command("ip", "netns", "delete", name).Run() // it may not have come to be
	os.RemoveAll(filepath.Join("/etc/netns", name))
	os.Remove("/etc/netns") // unless there are others
}

// sweepNamespaces deletes what test runs left that are over.
func sweepNamespaces() {
	for _, folder := range []string{"/var/run/netns", "/etc/netns"} {
		left, _ := filepath.Glob(filepath.Join(folder, namespacePrefix+"*"))
		for _, path := range left {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), namespacePrefix), "-")
			if _, err := strconv.Atoi(pid); err == nil {
				if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
					deleteNamespace(filepath.Base(path))
				}
			}
		}
	}
}
