package demo

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestEverythingPromisedComesTrueAndNothingIsLeft(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	out := newOutput()
	if err := Run(context.Background(), Options{Out: out, Duration: shortest, Version: "1.2.3"}); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text := out.String()
	for _, p := range newPromises().all() {
		if !strings.Contains(unwrapped(text), "✓ "+p.text+": ") {
			t.Errorf("not kept, or not said: %s", p.text)
		}
	}
	for _, want := range []string{"mqedge 1.2.3", "mosquitto_sub --cafile " + folder, "Broker 2 (127.0.0.", "gossip      edge at 127.0.0.1:", "broker 4    127.0.0.14:", "Broker 4 (127.0.0.14", "○ out", "connection refused (3 of 3",
		"Hook server 2 (127.0.0.", "hook calls  "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("control characters for a terminal that there is not")
	}
	if t.Failed() {
		t.Log(text)
	}
	nothingIsLeft(t, text, folder)
}

func TestTheTableIsThereWithinTwoSecondsAndCtrlCLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	out := newOutput()
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Out: out}) }()
	limit := time.Duration(2 * share() * float64(time.Second))
	select {
	case <-out.table:
	case <-time.After(limit):
		t.Errorf("no table within %v", limit)
	}
	interrupt()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * patience):
		t.Fatal("it does not end")
	}
	text := out.String()
	if !strings.Contains(text, "– a broker that is back gets connections again: did not come to it") {
		t.Errorf("it does not say what it did not come to:\n%s", text)
	}
	nothingIsLeft(t, text, folder)
}

func TestItEndsWhenNobodyReadsAnyMore(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Run(context.Background(), Options{Out: w}) }()
	greeting := make([]byte, 1<<10)
	n, err := r.Read(greeting)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * patience):
		t.Fatal("it does not end")
	}
	nothingIsLeft(t, string(greeting[:n]), folder)
}

func nothingIsLeft(t *testing.T, text, folder string) {
	t.Helper()
	// memberlist's own probe waits on for some seconds after it was shut down.
	var leaked error
	for range 50 {
		if leaked = goleak.Find(); leaked == nil {
			break
		}
	}
	if leaked != nil {
		t.Error(leaked)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left in the folder for temporary files: %v, %v", left, err)
	}
	addresses := regexp.MustCompile(`(?:-h|://|--admin|broker \d|hooks \d) *(127[0-9.]+)(?: -p |:)(\d+)`).FindAllStringSubmatch(text, -1)
	if len(addresses) == 0 {
		t.Error("no address in the output")
	}
	for _, m := range addresses {
		if c, err := net.Dial("tcp", net.JoinHostPort(m[1], m[2])); err == nil {
			_ = c.Close()
			t.Errorf("%s:%s is still open", m[1], m[2])
		}
	}
}

// unwrapped takes back what wrap did.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

// share is between how many, about, each processor of this machine is shared: 1 where this test has it for itself, or nothing is known.
func share() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return max(1, load/float64(runtime.NumCPU()))
}

// output is a place to write that tells of the first table.
type output struct {
	table chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	once sync.Once
}

func newOutput() *output { return &output{table: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("ENDPOINT")) {
		o.once.Do(func() { close(o.table) })
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
