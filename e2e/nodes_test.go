package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// node is a broker at an address of its own that takes clients, or for a while does not.
type node struct {
	*fake
	ill   atomic.Bool            // it answers CONNECT with "server unavailable"
	asked atomic.Pointer[string] // the CONNECT of the latest probe, without its first bytes
}

func startNode(t testing.TB, address string) *node {
	t.Helper()
	n := &node{}
	n.fake = startFakeAt(t, address, n.serve)
	return n
}

func (n *node) serve(c net.Conn) {
	r := bufio.NewReader(c)
	_, body, err := readPacket(r)
	if err != nil {
		return
	}
	if connect := string(body); strings.Contains(connect, "mqedge-probe-") {
		n.asked.Store(&connect)
	}
	code := byte(0)
	if n.ill.Load() {
		code = 3
	}
	_, err = c.Write([]byte{packetConnack, 2, 0, code})
	for err == nil && code == 0 {
		var kind byte
		if kind, _, err = readPacket(r); err == nil && kind == packetPingreq {
			_, err = c.Write([]byte{packetPingresp, 0})
		}
	}
}

// api is the HTTP API of a node.
type api struct {
	*http.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func startAPI(t testing.TB, address string) *api {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	a := &api{}
	a.Server = &http.Server{Addr: l.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*a.answer.Load())(w, r)
	})}
	a.say(running)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Serve(l) // until Close
	}()
	t.Cleanup(func() {
		a.Close()
		<-ended
	})
	return a
}

func (a *api) say(h http.HandlerFunc) { a.answer.Store(&h) }

// running answers /status and availability_check alike.
func running(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, "Node emqx@127.0.0.1 is started\nemqx is running")
}

func stopped(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "15")
	http.Error(w, "Node emqx@127.0.0.1 is stopped\nemqx is not_running", http.StatusServiceUnavailable)
}

// evacuating is EMQX that moves its clients to other nodes.
func evacuating(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, `{"code":"NODE_EVACUATING","message":"Node Evacuating"}`, http.StatusServiceUnavailable)
}

// twoNodes are on hosts of their own, each with an API at the same port.
func twoNodes(t testing.TB) (nodes [2]*node, apis [2]*api, port int) {
	t.Helper()
	hosts := [2]string{"127.0.0.21", "127.0.0.22"}
	for i, host := range hosts {
		nodes[i] = startNode(t, host+":0")
		apis[i] = startAPI(t, fmt.Sprintf("%s:%d", host, port))
		port = portOf(t, apis[i].Addr)
	}
	return nodes, apis, port
}
