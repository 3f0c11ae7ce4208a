package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Not parallel: it measures time and CPU time.
func TestOutOfFilesItWaitsWithoutSpinningAndRecoversWithinASecond(t *testing.T) {
	node := startFake(t, acknowledge)
	e := newEdge(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`, endpoints(node.address())))
	limited := exec.Command("sh", append([]string{"-c", `ulimit -n 64 && exec "$0" "$@"`}, e.cmd.Args...)...)
	limited.Dir, limited.Env, limited.SysProcAttr = e.cmd.Dir, e.cmd.Env, e.cmd.SysProcAttr
	limited.Stdout, limited.Stderr = e.cmd.Stdout, e.cmd.Stderr
	e.cmd = limited
	e.launch()
	e.awaitReady()
	addr := e.addr("mqtt")

	var open []net.Conn
	for i := range 100 {
		c := dial(t, addr) // the kernel takes them all
		_, err := c.Write(connectPacket(fmt.Sprintf("client-%d", i), 0))
		must(t, err)
		open = append(open, c)
	}
	e.awaitLog("cannot accept connections", "too many open files", "LimitNOFILE")

	const window = time.Second
	before := cpuTime(t, e)
	<-time.After(window)
	if used := cpuTime(t, e) - before; used > window/5 {
		t.Errorf("it used %v of CPU in %v without a file to open", used, window)
	}
	if e.hasEnded() {
		t.Fatal("it ended")
	}

	for _, c := range open {
		must(t, c.Close())
	}
	began := time.Now()
	var d *device
	eventually(t, func() string { // the first may still find no file for the way to the endpoint
		var err error
		if d, err = connect(addr, nil, "after"); err != nil {
			return err.Error()
		}
		return ""
	})
	defer d.Close()
	allowed := time.Second
	if underRace {
		allowed *= 3
	}
	if took := time.Since(began); took > allowed {
		t.Errorf("it took %v until a client was served again", took)
	}
	must(t, d.ping())
	e.awaitActive("mqtt", 1)
	m := e.metrics()
	if m[`mqedge_accept_errors_total{listener="mqtt"}`] == 0 {
		t.Error("mqedge_accept_errors_total does not tell")
	}
	if ep := e.endpoint("emqx", node.address()); ep.Ejected {
		t.Errorf("the endpoint was blamed: %+v", ep)
	}
}

// cpuTime is what the process has used so far.
func cpuTime(t testing.TB, e *edge) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.cmd.Process.Pid))
	if err != nil {
		without(t, "CPU time of a process: "+err.Error())
	}
	_, after, _ := strings.Cut(string(text), ") ") // proc(5): utime and stime are fields 14 and 15
	fields := strings.Fields(after)
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		must(t, err)
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100
}
