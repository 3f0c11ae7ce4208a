package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// edge is a mqedge process with a configuration of its own.
type edge struct {
	t      testing.TB
	dir    string // of the configuration, and the working directory
	temp   string // the process's $TMPDIR
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	ended  chan struct{} // closed when the process has
	admin  string        // host:port, known once ready
	client *http.Client  // for that; nil: the usual one
}

// usual are the sections of a configuration that most tests have no reason to write.
var usual = []struct{ key, section string }{
	{"admin:", "admin: {bind: 127.0.0.1:0}\n"},
	{"drain:", "drain: {over: 0s}\n"},
}

// start runs mqedge with this configuration, waits until it is ready, and ends it with the test.
func start(t testing.TB, config string) *edge {
	t.Helper()
	e := newEdge(t, config)
	e.launch()
	e.awaitReady()
	return e
}

// newEdge prepares what start does, for tests that change e.cmd before launch.
func newEdge(t testing.TB, config string) *edge {
	t.Helper()
	e := &edge{t: t, dir: t.TempDir(), temp: t.TempDir(), ended: make(chan struct{}), stdout: new(output), stderr: new(output)}
	e.configure(config)
	e.cmd = exec.Command(mqedge, "run", "-c", e.path("mqedge.yaml"))
	e.cmd.Dir = e.dir
	e.cmd.Env = append(os.Environ(), "TMPDIR="+e.temp, "GORACE=atexit_sleep_ms=0") // else every end takes a second more
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.cmd.Stdout, e.cmd.Stderr = e.stdout, e.stderr
	return e
}

// in is the same process for a subtest.
func (e *edge) in(t testing.TB) *edge {
	same := *e
	same.t = t
	return &same
}

// path is that of a file next to the configuration.
func (e *edge) path(name string) string { return filepath.Join(e.dir, name) }

// configure replaces the configuration file, at once as editors and tools do; it tells nobody.
func (e *edge) configure(config string) {
	e.t.Helper()
	for _, u := range usual {
		if !strings.Contains("\n"+config, "\n"+u.key) {
			config = u.section + config
		}
	}
	mustWrite(e.t, e.path("new.yaml"), []byte(config))
	must(e.t, os.Rename(e.path("new.yaml"), e.path("mqedge.yaml")))
}

func (e *edge) launch() {
	e.t.Helper()
	must(e.t, e.cmd.Start())
	go func() {
		defer close(e.ended)
		e.cmd.Wait() // how it ended is asked for in exit
	}()
	e.t.Cleanup(e.end)
}

var adminURL = regexp.MustCompile(`http://([^/"\s]+)/`)

func (e *edge) awaitReady() {
	e.t.Helper()
	eventually(e.t, func() string {
		if e.hasEnded() {
			e.t.Fatalf("mqedge ended with exit code %d:\n%s", e.cmd.ProcessState.ExitCode(), e.stderr.text())
		}
		found := adminURL.FindStringSubmatch(e.stderr.text())
		if found == nil {
			return "no admin address in the log"
		}
		e.admin = strings.Replace(found[1], "[::]", "[::1]", 1)
		if status, body, err := e.request("GET", "/readyz", ""); status != 200 {
			return fmt.Sprintf("/readyz: %d %s %v", status, body, err)
		}
		return ""
	})
}

func (e *edge) signal(s syscall.Signal) {
	e.t.Helper()
	must(e.t, e.cmd.Process.Signal(s))
}

// hup makes mqedge load its configuration again and reports whether it took it.
func (e *edge) hup() bool {
	e.t.Helper()
	const ok, failed = `mqedge_reloads_total{result="ok"}`, `mqedge_reloads_total{result="failed"}`
	before := e.metrics()
	e.signal(syscall.SIGHUP)
	var after map[string]float64
	eventually(e.t, func() string {
		after = e.metrics()
		if after[ok]+after[failed] == before[ok]+before[failed] {
			return "the reload is not over"
		}
		return ""
	})
	return after[ok] > before[ok]
}

// reload puts another configuration in force.
func (e *edge) reload(config string) {
	e.t.Helper()
	e.configure(config)
	if !e.hup() {
		e.t.Fatalf("the reload failed:\n%s", e.stderr.text())
	}
}

func (e *edge) hasEnded() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// exit waits for the end of the process and returns its exit code.
func (e *edge) exit() int {
	e.t.Helper()
	select {
	case <-e.ended:
	case <-time.After(patience()):
		e.t.Fatalf("mqedge is still running after %v", patience())
	}
	return e.cmd.ProcessState.ExitCode()
}

// end is the end of every test.
func (e *edge) end() {
	if !e.hasEnded() {
		e.cmd.Process.Signal(syscall.SIGTERM) // it may be ending by itself
		select {
		case <-e.ended:
			if code := e.cmd.ProcessState.ExitCode(); code != 0 {
				e.t.Errorf("exit code %d after SIGTERM", code)
			}
		case <-time.After(patience()):
			e.t.Errorf("SIGTERM did not end mqedge in %v", patience())
			syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL)
			<-e.ended
		}
	}
	if err := syscall.Kill(-e.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		e.t.Errorf("mqedge left a process behind (%v)", err)
	}
	if left, err := os.ReadDir(e.temp); err != nil || len(left) > 0 {
		e.t.Errorf("mqedge left %v in $TMPDIR (%v)", left, err)
	}
	log := e.stderr.text()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "goroutine 1 ["} {
		if strings.Contains(log, bad) {
			e.t.Errorf("%q on standard error", bad)
		}
	}
	if e.t.Failed() {
		e.t.Logf("standard error of mqedge:\n%s", log)
	}
}

// awaitLog waits for a line on standard error that contains all of the words.
func (e *edge) awaitLog(words ...string) string {
	e.t.Helper()
	var found string
	eventually(e.t, func() string {
		for line := range strings.Lines(e.stderr.text()) {
			if containsAll(line, words) {
				found = line
				return ""
			}
		}
		return fmt.Sprintf("no line in the log with %q", words)
	})
	return found
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// run runs another verb of the binary.
func run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(mqedge, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
