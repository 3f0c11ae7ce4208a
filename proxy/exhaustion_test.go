package proxy

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inChild runs the test by itself in a process whose limits it may change, and
// reports whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	const mark = "MQEDGE_TEST_CHILD"
	if os.Getenv(mark) != "" {
		return true
	}
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), mark+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// takeFiles opens files until only free more can be opened. What it returns
// lifts the limit, for everybody at the same moment.
func takeFiles(t *testing.T, free int) (release func()) {
	t.Helper()
	const few, enough = 256, 1024
	limit := func(n uint64) {
		must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: enough}))
	}
	limit(few)
	var taken []int
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == syscall.EMFILE {
			break
		}
		must(t, err)
		taken = append(taken, fd)
	}
	for _, fd := range taken[:free] {
		syscall.Close(fd)
	}
	return func() { limit(enough) } // the process ends with the test
}

func TestOutOfFilesTheAcceptLoopWaitsWithoutSpinningAndRecovers(t *testing.T) {
	if !inChild(t) {
		return
	}
	e := newEndpoint(t, echo)
	r := prepareRig(t, "127.0.0.1:0", settings(TCP), e.addr)
	clients := []stream{r.dial(t), r.dial(t), r.dial(t), r.dial(t), r.dial(t)} // the kernel queues them
	release := takeFiles(t, 0)
	r.serve()
	<-time.After(1400 * time.Millisecond) // to count in; a pause that grew without end would be long by now
	if n := r.Stats().AcceptErrors; n < 3 || n > 20 {
		t.Errorf("it tried %d times", n)
	}
	release()
	start := time.Now()
	for _, c := range clients {
		send(t, c, []byte("hello"))
		receiveText(t, c, "hello")
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %v to recover", took)
	}
	if s := r.Stats(); s.Accepted != 5 || len(s.Refused) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOutOfFilesForTheEndpointIsALocalFault(t *testing.T) {
	if !inChild(t) {
		return
	}
	a, b := newEndpoint(t, echo), newEndpoint(t, echo)
	r := prepareRig(t, "127.0.0.1:0", settings(TCP), a.addr, b.addr)
	client := r.dial(t)
	release := takeFiles(t, 1) // enough for the client, not for an endpoint
	r.serve()
	receiveEnd(t, client)
	release()
	r.wantRefused(t, "local_limit", 500)
	if l := r.lines(t, 1)[0]; strings.Contains(l.UpstreamAddr, ",") {
		t.Errorf("access log: %q; another endpoint could do no better", l.UpstreamAddr)
	}
	for _, s := range r.pool.Status().Endpoints {
		if s.FailuresTotal != 0 {
			t.Errorf("%s is blamed: %+v", s.Address, s)
		}
	}
}
