package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"

	"github.com/mqedge/mqedge/demo/broker"
)

// line is a mqedge process and those that take its place, one after the other.
type line struct {
	*edge
	binary string // which all are started from
	pids   []int  // of the processes after the first
}

// startLine is start with a binary of its own, which a test can replace.
func startLine(t testing.TB, config string) *line {
	t.Helper()
	l := newLine(t, config)
	l.launch()
	l.awaitReady()
	return l
}

// newLine prepares what startLine does, for tests that change l.cmd before launch.
func newLine(t testing.TB, config string) *line {
	t.Helper()
	must(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // whoever loses its parent is ours to wait for
	l := &line{edge: newEdge(t, config)}
	l.binary = filepath.Join(t.TempDir(), "mqedge")
	l.install(mqedge)
	l.cmd.Path, l.cmd.Args[0] = l.binary, l.binary
	return l
}

// launch starts the first process with pipes of ours: to wait for it is not to wait for the others, which have them too.
func (l *line) launch() {
	l.t.Helper()
	var copying sync.WaitGroup
	l.t.Cleanup(func() { // the last of all
		copying.Wait()
		if l.t.Failed() {
			l.t.Logf("processes: %d, %v", l.cmd.Process.Pid, l.pids)
		}
	})
	var ours []*os.File
	pipe := func(to *output) *os.File {
		out, in, err := os.Pipe()
		must(l.t, err)
		ours = append(ours, in)
		copying.Go(func() {
			io.Copy(to, out)
			out.Close()
		})
		return in
	}
	l.cmd.Stdout, l.cmd.Stderr = pipe(l.stdout), pipe(l.stderr)
	l.edge.launch()
	for _, f := range ours {
		f.Close()
	}
	l.t.Cleanup(l.endLast) // before the first is looked at
}

// install puts a program in the place of the binary, as package managers do.
func (l *line) install(program string) {
	l.t.Helper()
	data, err := os.ReadFile(program)
	must(l.t, err)
	must(l.t, os.WriteFile(l.binary+".new", data, 0o755))
	must(l.t, os.Rename(l.binary+".new", l.binary))
}

// current is the process that serves.
func (l *line) current() int {
	if n := len(l.pids); n > 0 {
		return l.pids[n-1]
	}
	return l.cmd.Process.Pid
}

var upgradedTo = regexp.MustCompile(`msg="upgraded: .*pid=(\d+)`)

// upgraded waits for the end of an upgrade that somebody began.
func (l *line) upgraded() {
	l.t.Helper()
	eventually(l.t, func() string {
		found := upgradedTo.FindAllStringSubmatch(l.stderr.text(), -1)
		if len(found) <= len(l.pids) {
			return "not upgraded"
		}
		pid, _ := strconv.Atoi(found[len(l.pids)][1])
		l.pids = append(l.pids, pid)
		return ""
	})
}

func (l *line) upgrade() {
	l.t.Helper()
	l.kill(syscall.SIGUSR2)
	l.upgraded()
}

func (l *line) kill(s syscall.Signal) {
	l.t.Helper()
	must(l.t, syscall.Kill(l.current(), s))
}

// awaitEnd waits for the end of a process after the first and returns its exit code.
func (l *line) awaitEnd(pid int) (code int) {
	l.t.Helper()
	eventually(l.t, func() string {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) && syscall.Kill(pid, 0) != nil {
			code = -1 // the process before has waited for it
			return ""
		}
		if got != pid {
			return fmt.Sprintf("process %d has not ended", pid)
		}
		code = status.ExitStatus()
		return ""
	})
	return code
}

// endLast ends the process that serves.
func (l *line) endLast() {
	if len(l.pids) == 0 {
		return
	}
	for _, pid := range l.pids {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	select {
	case <-l.ended: // a process that has a successor ends by itself
	case <-time.After(patience()):
		l.t.Errorf("the first process has not ended %v after the last", patience())
	}
	for _, pid := range l.pids {
		if code := l.awaitEnd(pid); code > 0 {
			l.t.Errorf("exit code %d of process %d after SIGTERM", code, pid)
		}
	}
}

const upgrading = `
drain: {over: %s, deadline: 20s}
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s%s}
`

func TestAnUpgradeUnderTrafficRefusesNoConnectionAndLosesNoMessage(t *testing.T) {
	t.Parallel()
	const publishers, rounds = 4, 2
	node := startBrokerWith(t, broker.Options{})
	l := startLine(t, fmt.Sprintf(upgrading, "1s", endpoints(node.Addr()), ""))
	addr := l.addr("mqtt")

	var refused atomic.Int64
	real := func(addr, id string, handler paho3.MessageHandler) paho3.Client {
		o := paho3.NewClientOptions().AddBroker("tcp://unused:1").SetClientID(id).SetProtocolVersion(4).SetCleanSession(false).
			SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetConnectTimeout(patience())
		o.SetCustomOpenConnectionFn(func(*url.URL, paho3.ClientOptions) (net.Conn, error) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				refused.Add(1)
			}
			return c, err
		})
		o.SetDefaultPublishHandler(handler)
		c := paho3.NewClient(o)
		token := c.Connect()
		if !token.WaitTimeout(patience()) || token.Error() != nil {
			t.Fatalf("%s: %v", id, token.Error())
		}
		t.Cleanup(func() { c.Disconnect(0) })
		return c
	}
	var mu sync.Mutex
	got := make(map[string]bool)
	// Not by the edge: what a broker queues for a client that comes back is the broker's to keep.
	subscriber := real(node.Addr(), "subscriber", func(_ paho3.Client, m paho3.Message) {
		mu.Lock()
		defer mu.Unlock()
		got[string(m.Payload())] = true
	})
	if token := subscriber.Subscribe("t", 1, nil); !token.WaitTimeout(patience()) || token.Error() != nil {
		t.Fatal(token.Error())
	}

	over := make(chan struct{})
	var working sync.WaitGroup
	var sent atomic.Int64
	for p := range publishers {
		c := real(addr, fmt.Sprintf("publisher-%d", p), nil)
		working.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				began := time.Now()
				for { // what was under way when a connection ended is sent again
					token := c.Publish("t", 1, false, fmt.Sprintf("%d/%d", p, n))
					if token.WaitTimeout(patience()) && token.Error() == nil {
						break
					}
					if time.Since(began) > patience() {
						t.Errorf("publisher %d, message %d: %v", p, n, token.Error())
						return
					}
				}
				sent.Add(1)
			}
		})
	}
	var came atomic.Int64
	working.Go(func() { // devices that come and go
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			default:
			}
			d, err := connect(addr, nil, fmt.Sprintf("device-%d", n))
			if err != nil {
				t.Errorf("device %d: %v", n, err)
				return
			}
			d.leave()
			came.Add(1)
		}
	})
	first := l.cmd.Process.Pid
	for range rounds {
		before, devices := sent.Load(), came.Load()
		l.upgrade()
		eventually(t, func() string {
			if now := sent.Load(); now < before+50 || came.Load() < devices+20 {
				return fmt.Sprintf("%d messages and %d devices since the upgrade", now-before, came.Load()-devices)
			}
			return ""
		})
	}
	if code := l.exit(); code != 0 || l.current() == first {
		t.Errorf("exit code %d of the first process; %d serves", code, l.current())
	}
	if code := l.awaitEnd(l.pids[0]); code > 0 {
		t.Errorf("exit code %d of the second process", code)
	}
	close(over)
	working.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d connections were refused", refused.Load())
	}
	eventually(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		if int64(len(got)) != sent.Load() {
			return fmt.Sprintf("%d of %d messages arrived", len(got), sent.Load())
		}
		return ""
	})
	if n := l.metrics()[`mqedge_upgrades_total{result="ok"}`]; n != rounds {
		t.Errorf("%v upgrades are counted", n)
	}
	t.Logf("%d messages, %d devices", sent.Load(), came.Load())
}

func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	config := fmt.Sprintf(upgrading, "0s", endpoints(node.address()), "")
	l := startLine(t, config)
	d := mustConnect(t, l.addr("mqtt"), nil, "stays")
	failures := 0.0
	fails := func(words ...string) {
		t.Helper()
		seen := len(l.stderr.text())
		l.kill(syscall.SIGUSR2)
		failures++
		eventually(t, func() string {
			if n := l.metrics()[`mqedge_upgrades_total{result="failed"}`]; n != failures {
				return fmt.Sprintf("%v failed upgrades are counted, want %v", n, failures)
			}
			if text := l.stderr.text()[seen:]; !containsAll(text, append(words, "upgrade failed, this process goes on")) {
				return fmt.Sprintf("the log does not say %q: %s", words, text)
			}
			return ""
		})
		must(t, d.ping())
		mustConnect(t, l.addr("mqtt"), nil, "new")
		if status, body, err := l.request("GET", "/readyz", ""); status != 200 {
			t.Errorf("/readyz: %d %s %v", status, body, err)
		}
	}
	l.configure("listeners: {mqtt: {bindd: 127.0.0.1:0}}\n")
	fails("mqedge.yaml:", "bindd")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	l.configure(config + fmt.Sprintf("  more: {endpoints: %s}\n", endpoints(node.address())))
	l.configure(fmt.Sprintf("listeners:\n  mqtt: {bind: [127.0.0.1:0, %q], upstream: emqx}\nupstreams:\n  emqx: {endpoints: %s}\n", taken.Addr(), endpoints(node.address())))
	fails("listeners.mqtt.bind", "address already in use")
	l.configure(config)

	must(t, os.WriteFile(l.binary+".new", []byte("#!/bin/sh\nexit 7\n"), 0o755))
	must(t, os.Rename(l.binary+".new", l.binary))
	fails("exit status 7")
	must(t, os.WriteFile(l.binary+".new", []byte("no program"), 0o755))
	must(t, os.Rename(l.binary+".new", l.binary))
	fails("exec format error")
	must(t, os.Remove(l.binary))
	fails("no such file")

	l.install(mqedge)
	if !l.hup() {
		t.Error("it does not reload any more")
	}
	l.upgrade()
	awaitClosed(t, d) // by the drain of the process before
	mustConnect(t, l.addr("mqtt"), nil, "after")
	if code := l.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnUpgradeIsRefusedWhileDrainingAndWhileAnotherIsUnderWay(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	l := startLine(t, fmt.Sprintf(upgrading, "10s", endpoints(node.address()), ""))
	mustConnect(t, l.addr("mqtt"), nil, "stays")
	hang := []byte("#!/bin/sh\nexec sleep 3600\n")
	must(t, os.WriteFile(l.binary+".new", hang, 0o755))
	must(t, os.Rename(l.binary+".new", l.binary))
	l.kill(syscall.SIGUSR2)
	l.awaitLog("msg=upgrading")
	l.kill(syscall.SIGUSR2)
	l.awaitLog("no upgrade", "under way already")
	if status, body, _ := l.request("POST", "/api/v1/reload", ""); status != 422 || !containsAll(body, []string{"being upgraded"}) {
		t.Errorf("a reload during an upgrade: %d %s", status, body)
	}
	l.kill(syscall.SIGTERM) // ends the new process, and drains
	l.awaitLog("upgrade failed", "not waited for")
	l.awaitLog("msg=draining")
	l.kill(syscall.SIGUSR2)
	l.awaitLog("upgrade failed", "shutting down")
	l.kill(syscall.SIGTERM)
	if code := l.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTLSSessionsResumeAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	l := startLine(t, fmt.Sprintf("listeners:\n  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}\nupstreams:\n  emqx: {endpoints: %s}\n",
		pki.server().yaml(), endpoints(node.address())))
	clients := rememberingClients(pki)
	for _, client := range clients {
		resumes(t, l.edge, "mqtts", client)
	}
	l.upgrade()
	for version, client := range clients {
		if !resumes(t, l.edge, "mqtts", client) {
			t.Errorf("%s: a full handshake", tls.VersionName(version))
		}
	}
}

func TestWhatIsHeldAgainstEndpointsIsKnownAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	good, drained, dead := startFake(t, acknowledge), startFake(t, acknowledge), deadAddress(t)
	l := startLine(t, fmt.Sprintf(upgrading, "0s", endpoints(good.address(), drained.address(), dead),
		", health: {passive: {max_fails: 1, fail_timeout: 10m}}"))
	for i := range 4 {
		mustConnect(t, l.addr("mqtt"), nil, fmt.Sprintf("client-%d", i))
	}
	if _, errs, code := run(t, "drain", "emqx", drained.address(), "--admin", l.admin); code != 0 {
		t.Fatal(errs)
	}
	l.upgrade()
	came, elsewhere := good.came(), drained.came()
	for i := range 10 {
		mustConnect(t, l.addr("mqtt"), nil, fmt.Sprintf("again-%d", i))
	}
	if good.came() != came+10 || drained.came() != elsewhere {
		t.Errorf("the good one got %d, the drained one %d", good.came()-came, drained.came()-elsewhere)
	}
	for name, n := range l.metrics() {
		if regexp.MustCompile(`connect_failures_total.*`+regexp.QuoteMeta(dead)).MatchString(name) && n > 0 {
			t.Errorf("%s: %v", name, n)
		}
	}
}
