package e2e

import (
	"fmt"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// vanish makes the kernel drop all that comes for c from now on, acknowledgements
// included, as if its host had lost its power.
func vanish(t testing.TB, c *net.TCPConn) {
	t.Helper()
	drop := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}))
	must(t, err)
}

func TestAPeerThatVanishesIsFoundByTheTimesOfTheLatestReload(t *testing.T) {
	t.Parallel()
	conns := make(chan net.Conn, 8)
	node := startFake(t, func(c net.Conn) { conns <- c; io.Copy(c, c) })
	const config = `
access_log: {path: "-"}
listeners:
  tcp: {bind: 127.0.0.1:0, upstream: words, protocol: tcp%s}
upstreams:
  words: {%s endpoints: %s}
`
	e := start(t, fmt.Sprintf(config, "", "", endpoints(node.address())))
	before := dial(t, e.addr("tcp"))
	<-conns
	e.reload(fmt.Sprintf(config, ", tcp: {user_timeout: 1s}", "tcp: {keepalive: 1s, user_timeout: 3s},", endpoints(node.address())))

	client := dial(t, e.addr("tcp"))
	endpoint := <-conns
	vanish(t, client)
	_, err := endpoint.Write([]byte("hello"))
	must(t, err)
	e.awaitAccess("reason", "client_reset")

	dial(t, e.addr("tcp"))
	vanish(t, (<-conns).(*net.TCPConn))
	e.awaitAccess("reason", "upstream_reset")

	_, err = before.Write([]byte("hello")) // began before the reload
	must(t, err)
	_, err = io.ReadFull(before, make([]byte, 5))
	must(t, err)
	if n := e.listener("tcp").Active; n != 1 {
		t.Errorf("%d connections are left, want 1", n)
	}
}
