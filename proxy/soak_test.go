package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// behaviours are what clients do in one connection, well or badly. The
// connection c is TLS over tcp where the listener has it; tcp is closed afterwards.
var behaviours = []func(c net.Conn, tcp *net.TCPConn){
	func(c net.Conn, _ *net.TCPConn) { // served, and says goodbye
		packet := connect("good", 10)
		c.Write(packet)
		io.ReadFull(c, packet)
		c.Close()
	},
	func(c net.Conn, tcp *net.TCPConn) { // served, then reset
		packet := connect("reset", 0)
		c.Write(packet)
		io.ReadFull(c, packet)
		tcp.SetLinger(0)
	},
	func(c net.Conn, _ *net.TCPConn) { // half a CONNECT
		c.Write(connect("half", 0)[:6])
	},
	func(_ net.Conn, tcp *net.TCPConn) { // reset at once
		tcp.SetLinger(0)
	},
	func(c net.Conn, tcp *net.TCPConn) { // garbage
		c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		tcp.CloseWrite()
		io.Copy(io.Discard, c)
	},
	func(_ net.Conn, tcp *net.TCPConn) { // garbage where TLS may be
		tcp.Write([]byte("\x16\x03\x01\x00\x02xx"))
		tcp.CloseWrite()
		io.Copy(io.Discard, tcp)
	},
	func(c net.Conn, _ *net.TCPConn) { // stays until it is kicked
		c.Write(connect("kicked", 0))
		io.Copy(io.Discard, c)
	},
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestFiveHundredMixedConnectionsLeaveNothingBehind(t *testing.T) {
	const connections, atOnce = 500, 25
	e := newEndpoint(t, echo)
	dead := closedPort(t)
	plain, secure, opaque := settings(MQTT), settings(MQTT), settings(TCP)
	plain.MaxConnections, plain.MaxConnectionsPerIP = 8, 6
	secure.TLS, secure.Route.SendProxy = serverTLS(t), 2
	rigs := []*rig{newRig(t, plain, dead, e.addr), newRig(t, secure, e.addr, dead), newRig(t, opaque, e.addr)}
	config := clientTLS(t)
	for _, r := range rigs { // whatever starts with the first connection has started
		r.dial(t).Close()
		r.lines(t, 1)
	}
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	next := make(chan int)
	var clients sync.WaitGroup
	for range atOnce {
		clients.Go(func() {
			for i := range next {
				r := rigs[i%len(rigs)]
				raw, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					continue
				}
				tcp, c := raw.(*net.TCPConn), raw
				if r == rigs[1] {
					c = tls.Client(tcp, config)
				}
				tcp.SetDeadline(time.Now().Add(patience))
				behaviours[i/len(rigs)%len(behaviours)](c, tcp)
				tcp.Close()
			}
		})
	}
	stop := make(chan struct{})
	var kicker sync.WaitGroup
	kicker.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, r := range rigs {
				r.Kick("kicked")
				r.list("", 3)
			}
			for _, c := range rigs[2].conns.all() { // these have no client id
				if time.Since(c.since()) > 100*time.Millisecond {
					c.close(reasonKicked)
				}
			}
		}
	})
	for i := range connections {
		next <- i
	}
	close(next)
	clients.Wait()
	until(t, "all accepted", func() bool { // Wait is for when nothing more is
		var n uint64
		for _, r := range rigs {
			n += r.Stats().Accepted
		}
		return n == connections+uint64(len(rigs))
	})
	for _, r := range rigs {
		r.Wait()
		t.Logf("%+v", r.Stats())
	}
	close(stop)
	kicker.Wait()
	until(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	until(t, "as many open files as before", func() bool { return openFiles(t) <= files })
}
