package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// manager is what a service sees of systemd.
type manager struct {
	t    testing.TB
	path string // of NOTIFY_SOCKET
	mu   sync.Mutex
	told []string
}

func newManager(t testing.TB) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "mqedge-") // the path of a socket must be short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 64<<10)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return m
}

// hears waits until the service has said these things, one after the other, and forgets what came before the last of them.
func (m *manager) hears(patterns ...string) (last string) {
	m.t.Helper()
	eventually(m.t, func() string {
		m.mu.Lock()
		defer m.mu.Unlock()
		next := 0
		for i, text := range m.told {
			if !regexp.MustCompile("(?s)^" + patterns[next] + "$").MatchString(text) {
				continue
			}
			if next++; next == len(patterns) {
				last, m.told = text, m.told[i+1:]
				return ""
			}
		}
		return fmt.Sprintf("systemd has not heard %q but %q", patterns[next], m.told)
	})
	return last
}

// bySystemd makes systemd the one that starts the process: with sockets, by name, and a watchdog.
func (l *line) bySystemd(m *manager, names []string, sockets ...net.Listener) {
	l.t.Helper()
	for _, s := range sockets {
		var f *os.File
		var err error
		switch s := s.(type) {
		case *net.TCPListener:
			f, err = s.File()
		case *net.UnixListener:
			f, err = s.File()
		}
		must(l.t, err)
		l.t.Cleanup(func() { f.Close() })
		l.cmd.ExtraFiles = append(l.cmd.ExtraFiles, f)
	}
	// The process id that systemd names is that of the program, which this shell becomes.
	l.cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, l.binary}, l.cmd.Args[1:]...)
	l.cmd.Path = program(l.t, "sh")
	l.cmd.Env = append(l.cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=200000",
		fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // systemd does not unless it is told to
	l, err := plain.Listen(t.Context(), network, address)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestSystemdStartsReloadsUpgradesAndStopsTheService(t *testing.T) {
	t.Parallel()
	m, node := newManager(t), startFake(t, acknowledge)
	config := fmt.Sprintf(upgrading, "0s", endpoints(node.address()), "")
	l := newLine(t, config)
	l.bySystemd(m, nil)
	l.launch()
	l.awaitReady()
	m.hears("READY=1\nSTATUS=1 listener, 0 connections", "WATCHDOG=1", "WATCHDOG=1")
	first := l.cmd.Process.Pid

	l.kill(syscall.SIGHUP)
	m.hears("RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\nSTATUS=reloading", "READY=1\nSTATUS=1 listener, 0 connections")
	l.configure("nonsense")
	l.kill(syscall.SIGHUP)
	m.hears("RELOADING=1\n.*", "READY=1\nSTATUS=.*the latest reload failed: see the log")
	l.kill(syscall.SIGUSR2)
	l.awaitLog("upgrade failed, this process goes on")
	m.hears("WATCHDOG=1", "WATCHDOG=1")

	l.configure(config)
	for range 2 {
		l.upgrade()
		m.hears(fmt.Sprintf("MAINPID=%d", l.current()), "READY=1\n.*", "WATCHDOG=1", "WATCHDOG=1")
	}
	if code := l.exit(); code != 0 || l.current() == first {
		t.Errorf("exit code %d, the service is %d", code, l.current())
	}
	mustConnect(t, l.addr("mqtt"), nil, "client")
	m.mu.Lock()
	for _, text := range m.told {
		if strings.Contains(text, "STOPPING") {
			t.Error("a process that was upgraded says that the service stops")
		}
	}
	m.mu.Unlock()
	l.kill(syscall.SIGTERM)
	m.hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=31000000\nSTATUS=draining") // the deadline of 20 s, and what comes after it at most
}

func TestListenersUseTheSocketsThatSystemdPassesByAddressOrName(t *testing.T) {
	t.Parallel()
	m, node := newManager(t), startFake(t, acknowledge)
	byAddress, byName, admin, spare := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	stray := listen(t, "unix", filepath.Join(filepath.Dir(m.path), "stray"))
	config := func(more string) string {
		return fmt.Sprintf("admin: {bind: 127.0.0.1:3}\nlisteners:\n  a: {bind: %q, upstream: emqx}\n  b: {bind: 127.0.0.1:1, upstream: emqx}\n%supstreams:\n  emqx: {endpoints: %s}\n",
			byAddress.Addr(), more, endpoints(node.address()))
	}
	early := dial(t, byName.Addr().String()) // before the service runs: it waits
	l := newLine(t, config(""))
	l.bySystemd(m, []string{"x", "b", "admin", "spare", "stray"}, byAddress, byName, admin, spare, stray)
	l.launch()
	l.awaitReady()
	reachable := func() {
		t.Helper()
		for _, s := range []net.Listener{byAddress, byName} {
			mustConnect(t, s.Addr().String(), nil, "client")
		}
	}
	if l.edge.admin != admin.Addr().String() {
		t.Errorf("the admin address is %s", l.edge.admin)
	}
	if _, err := introduce(early, "early", 0); err != nil {
		t.Errorf("who came before the service: %v", err)
	}
	reachable()
	l.awaitLog("is not used", "name=spare", spare.Addr().String())
	l.awaitLog("of no use", "name=stray")

	l.reload(config("  c: {bind: \"" + spare.Addr().String() + "\", upstream: emqx}\n")) // systemd's are there for later configurations, too
	mustConnect(t, spare.Addr().String(), nil, "client")
	l.reload(config(""))
	reachable()
	l.upgrade()
	reachable()
	l.configure(config("  spare: {bind: 127.0.0.1:2, upstream: emqx}\n"))
	if status, body, err := l.request("POST", "/api/v1/reload", ""); status != 200 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	mustConnect(t, spare.Addr().String(), nil, "client")
}
