package relay

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpOptions are what the kernel says of a socket.
type tcpOptions struct{ noDelay, keepAlive, idle, interval, count, userTimeout int }

func optionsOf(t *testing.T, c *Conn) (o tcpOptions) {
	t.Helper()
	ask := func(fd uintptr) {
		for _, q := range []struct {
			into          *int
			level, option int
		}{
			{&o.noDelay, unix.IPPROTO_TCP, unix.TCP_NODELAY},
			{&o.keepAlive, unix.SOL_SOCKET, unix.SO_KEEPALIVE},
			{&o.idle, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
			{&o.interval, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
			{&o.count, unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
			{&o.userTimeout, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
		} {
			v, err := unix.GetsockoptInt(int(fd), q.level, q.option)
			if err != nil {
				t.Error(err)
			}
			*q.into = v
		}
	}
	if c.tcp == nil {
		ask(uintptr(c.socket.fd))
	} else if err := c.raw.Control(ask); err != nil {
		t.Error(err)
	}
	if o.keepAlive == 0 {
		o.idle, o.interval, o.count = 0, 0, 0 // whatever they are
	}
	return o
}

func TestAcceptedConnectionsHaveTheOptionsOfTheListeningSocket(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		stopped := running(t, r)
		lc := net.ListenConfig{KeepAlive: -1}
		lc.SetMultipathTCP(false)
		ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		addr := ln.Addr().String()
		a, err := r.Acceptor(ln.(*net.TCPListener))
		must(t, err)
		ended, accepted := make(chan struct{}), make(chan *Conn)
		go func() {
			defer close(ended)
			a.Run(func() {
				for {
					c, err := a.Accept()
					if err != nil {
						return
					}
					r.Go(c, func() { accepted <- c; <-accepted; c.Close() })
				}
			})
		}()
		for _, c := range []struct {
			tcp  TCP
			want tcpOptions
		}{
			{TCP{UserTimeout: 1500 * time.Millisecond}, tcpOptions{1, 0, 0, 0, 0, 1500}},
			{TCP{KeepAlive: time.Minute}, tcpOptions{1, 1, 60, 15, 4, 0}},
			{TCP{KeepAlive: 30 * time.Second, UserTimeout: time.Minute}, tcpOptions{1, 1, 30, 10, 3, 60_000}},
			{TCP{KeepAlive: 1100 * time.Millisecond, UserTimeout: 1200 * time.Millisecond}, tcpOptions{1, 1, 2, 1, 3, 1200}},
			{TCP{KeepAlive: 9 * time.Hour, UserTimeout: 24 * time.Hour}, tcpOptions{1, 1, 32400, 18000, 3, 86_400_000}},
			{TCP{}, tcpOptions{noDelay: 1}},
		} {
			must(t, a.Configure(c.tcp))
			dialled(t, addr)
			conn := <-accepted
			got := optionsOf(t, conn)
			accepted <- nil
			got.noDelay = 1 // of the listening socket is none of Configure's business
			if got != c.want {
				t.Errorf("%d loops, %+v: accepted with %+v, want %+v", loops, c.tcp, got, c.want)
			}
		}
		a.Close()
		<-ended
		must(t, a.Configure(TCP{KeepAlive: time.Minute}))
		stopped()
	}
}

// dialledWith runs f on what a strand dialled, or could not.
func dialledWith(t *testing.T, loops int, addr string, o DialOptions, f func(*Conn, error)) {
	t.Helper()
	r := newRelay(t, loops)
	stopped := running(t, r)
	done := make(chan struct{})
	front, stop := serveStrands(t, r, func(c *Conn) {
		defer close(done)
		defer c.Close()
		u, err := c.Dial(addr, o)
		f(u, err)
		if err == nil {
			u.Close()
		}
	})
	dialled(t, front)
	<-done
	stop()
	stopped()
}

func TestDialledConnectionsHaveTheirOptionsAndSource(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, c := range []struct {
		options DialOptions
		want    tcpOptions
	}{
		{DialOptions{TCP: TCP{KeepAlive: 30 * time.Second, UserTimeout: time.Minute}}, tcpOptions{1, 1, 30, 10, 0, 60_000}},
		{DialOptions{TCP: TCP{KeepAlive: time.Minute}, Source: netip.MustParseAddr("127.0.0.11")}, tcpOptions{1, 1, 60, 15, 4, 0}},
		{DialOptions{TCP: TCP{UserTimeout: time.Minute}, Source: netip.MustParseAddr("127.0.0.12")}, tcpOptions{1, 0, 0, 0, 0, 60_000}},
		{DialOptions{}, tcpOptions{noDelay: 1}},
	} {
		for _, host := range []string{"127.0.0.1", "localhost"} {
			for _, loops := range []int{0, 1} {
				dialledWith(t, loops, net.JoinHostPort(host, port), c.options, func(u *Conn, err error) {
					if err != nil {
						t.Errorf("%s, %d loops: %v", host, loops, err)
						return
					}
					got := optionsOf(t, u)
					if c.want.userTimeout > 0 {
						got.count = 0 // the kernel's own, which does not count
					}
					if got != c.want {
						t.Errorf("%s, %d loops, %+v: %+v, want %+v", host, loops, c.options.TCP, got, c.want)
					}
					if from := c.options.Source; from.IsValid() && u.Local().Addr() != from {
						t.Errorf("%s, %d loops: from %v, want %v", host, loops, u.Local(), from)
					}
				})
			}
		}
	}
}

func TestTheSourcePortIsChosenWithTheEndpointInMind(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer first.Close()
	from := netip.MustParseAddr("127.0.0.13")
	for _, loops := range []int{0, 1} {
		dialledWith(t, loops, first.Addr().String(), DialOptions{Source: from}, func(u *Conn, err error) {
			if err != nil {
				t.Errorf("%d loops: %v", loops, err)
				return
			}
			var v int
			ask := func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT) }
			if u.tcp == nil {
				ask(uintptr(u.socket.fd))
			} else {
				u.raw.Control(ask)
			}
			if err != nil || v != 1 {
				t.Errorf("%d loops: IP_BIND_ADDRESS_NO_PORT is %d, %v", loops, v, err)
			}
		})
	}
}

func TestADialFromAnAddressThatTheHostDoesNotHaveFails(t *testing.T) {
	for _, source := range []string{"192.0.2.1", "2001:db8::1"} { // for documentation only
		from := netip.MustParseAddr(source)
		to := "127.0.0.1:1"
		if from.Is6() {
			to = "[::1]:1"
		}
		for _, loops := range []int{0, 1} {
			dialledWith(t, loops, to, DialOptions{Source: from}, func(_ *Conn, err error) {
				if !errors.Is(err, unix.EADDRNOTAVAIL) {
					t.Errorf("from %s, %d loops: %v", source, loops, err)
				}
			})
		}
	}
}

func TestADialThatIsRefusedSaysSo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := ln.Addr().String()
	ln.Close()
	for _, loops := range []int{0, 1} {
		dialledWith(t, loops, addr, DialOptions{}, func(_ *Conn, err error) {
			if !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%d loops: %v", loops, err)
			}
		})
	}
}

func TestALookupGivesAddressesOfOneSpelling(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:1883")
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		stopped := running(t, r)
		done := make(chan struct{})
		front, stop := serveStrands(t, r, func(c *Conn) {
			defer close(done)
			defer c.Close()
			for _, addr := range []string{"127.0.0.1:1883", "[::ffff:127.0.0.1]:1883", "localhost:1883"} {
				got, err := c.Lookup(addr, time.Now().Add(10*time.Second))
				if err != nil || !slices.Contains(got, local) {
					t.Errorf("%s, %d loops: %v, %v", addr, loops, got, err)
				}
			}
			if got, err := c.Lookup("no-such-host.invalid:1", time.Now().Add(10*time.Second)); err == nil {
				t.Errorf("%d loops: a name that cannot be leads to %v", loops, got)
			}
		})
		dialled(t, front)
		<-done
		stop()
		stopped()
	}
}

func TestProbesEndBeforeTheUserTimeoutDoes(t *testing.T) {
	for _, c := range []TCP{
		{30 * time.Second, time.Minute}, {time.Second, 4 * time.Second}, {time.Minute, 90 * time.Second}, {10 * time.Second, time.Hour},
	} {
		idle, interval, count := c.probes()
		if last := idle + time.Duration(count-1)*interval; last >= c.UserTimeout || count < 3 {
			t.Errorf("%+v: %d probes, the last after %v", c, count, last)
		}
	}
}
