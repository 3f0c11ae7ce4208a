package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const logged = `
access_log: {path: %q, format: %q}
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`

func TestAJSONLineTellsAllOfAConnection(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}
upstreams:
  emqx: {endpoints: %s}
`, pki.server().yaml(), endpoints(node.address())))
	began := time.Now()
	id := "line\nbreak \"quoted\" \x7f ü"
	d := mustConnect(t, e.addr("mqtts"), pki.trusting(), id)
	must(t, d.ping())
	must(t, d.leave())

	line := e.awaitAccess("mqtt_client_id", id)
	connect := float64(len(connectPacket(id, 0)))
	for field, want := range map[string]any{
		"remote_addr": "127.0.0.1", "remote_port": float64(portOf(t, d.LocalAddr().String())), "protocol": "TCP", "status": 200.0,
		"bytes_received": connect + 2 + 2, "bytes_sent": 4.0 + 2, "listener": "mqtts", "upstream_addr": node.address(),
		"upstream_bytes_sent": connect + 2 + 2, "upstream_bytes_received": 4.0 + 2,
		"ssl_protocol": "TLSv1.3", "ssl_server_name": "edge.example", "mqtt_version": "3.1.1", "mqtt_keepalive": 0.0, "connack_code": 0.0,
		"reason": "client_closed",
	} {
		if line[field] != want {
			t.Errorf("%s is %v, want %v", field, line[field], want)
		}
	}
	for _, field := range []string{"proxy_protocol_addr", "mqtt_username", "ssl_client_s_dn_cn"} {
		if got, there := line[field]; there {
			t.Errorf("%s is %v, though there is nothing to say", field, got)
		}
	}
	at, err := time.Parse(time.RFC3339, line["time_iso8601"].(string))
	if err != nil || at.Before(began.Truncate(time.Second)) {
		t.Errorf("time_iso8601: %v (%v)", line["time_iso8601"], err)
	}
	if took, ok := line["session_time"].(float64); !ok || took > time.Since(began).Seconds() {
		t.Errorf("session_time: %v", line["session_time"])
	}
}

// basic is a log_format of an nginx stream block, as users have it.
const basic = `$proxy_protocol_addr - $remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received ` +
	`$session_time "$upstream_addr" "$upstream_bytes_sent" "$upstream_bytes_received" "$upstream_connect_time"`

// basicLine is what nginx writes by it, with the fields as groups.
var basicLine = regexp.MustCompile(`^(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] (TCP) (\d{3}) (\d+) (\d+) ` +
	`(\d+\.\d{3}) "([0-9.:]+)" "(\d+)" "(\d+)" "(\d+\.\d{3})"\n$`)

func TestTheFormatsOfNginxAreWrittenAsNginxDoes(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	for format, want := range map[string]*regexp.Regexp{
		"nginx": regexp.MustCompile(`^127\.0\.0\.1 \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] TCP 200 4 \d+ \d+\.\d{3}\n$`),
		basic:   basicLine,
		`${mqtt_client_id}:$mqtt_version|$ssl_protocol`: regexp.MustCompile(`^one \\x22 \\x0A:3\.1\.1\|-\n$`),
	} {
		e := start(t, fmt.Sprintf(logged, "access.log", format, endpoints(node.address())))
		must(t, mustConnect(t, e.addr("mqtt"), nil, "one \" \n").leave())
		if got := awaitText(t, e.path("access.log")); !want.MatchString(got) {
			t.Errorf("%s\ngave %q", format, got)
		}
	}
}

// awaitText waits until there is something in a file.
func awaitText(t testing.TB, file string) string {
	t.Helper()
	var text []byte
	eventually(t, func() string {
		var err error
		if text, err = os.ReadFile(file); err != nil || len(text) == 0 {
			return fmt.Sprintf("%s is empty (%v)", file, err)
		}
		return ""
	})
	return string(text)
}

func TestARotationLosesNoLineAndDoublesNone(t *testing.T) {
	t.Parallel()
	const rotations = 20
	node := startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(logged, "access.log", "$mqtt_client_id", endpoints(node.address())))
	addr := e.addr("mqtt")
	stop := make(chan struct{})
	var work sync.WaitGroup
	var mu sync.Mutex
	want := make(map[string]int)
	for i := range 4 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("client-%d-%d", i, n)
				d, err := connect(addr, nil, id)
				if err != nil {
					t.Error(err)
					return
				}
				d.leave()
				mu.Lock()
				want[id] = 1
				mu.Unlock()
			}
		})
	}
	for n := range rotations {
		awaitText(t, e.path("access.log"))
		must(t, os.Rename(e.path("access.log"), e.path(fmt.Sprintf("access.log.%d", n))))
		e.signal(syscall.SIGUSR1)
		eventually(t, func() string {
			if got := strings.Count(e.stderr.text(), "log files reopened"); got != n+1 {
				return fmt.Sprintf("reopened %d times, want %d", got, n+1)
			}
			return ""
		})
	}
	close(stop)
	work.Wait()
	e.awaitActive("mqtt", 0)
	e.awaitMetric(`mqedge_access_log_lines_total{result="written"}`, float64(len(want)))
	e.awaitMetric(`mqedge_access_log_lines_total{result="lost"}`, 0)

	got := make(map[string]int)
	for n := range rotations + 1 {
		file := fmt.Sprintf("access.log.%d", n)
		if n == rotations {
			file = "access.log"
		}
		text, err := os.ReadFile(e.path(file))
		must(t, err)
		for line := range strings.Lines(string(text)) {
			got[strings.TrimSuffix(line, "\n")]++
		}
	}
	for id := range want {
		if got[id] != 1 {
			t.Errorf("%s has %d lines", id, got[id])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d different lines, want %d", len(got), len(want))
	}
	t.Logf("%d lines over %d rotations", len(want), rotations)
}

// longLine fills the buffers of the access log with few connections.
var longLine = strings.Repeat("x", 32<<10) + " $status"

func TestAFullDiskCostsLinesAndNoTraffic(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		without(t, "a full disk: "+err.Error())
	}
	servesAllAndCountsLost(t, "/dev/full")
}

func TestABlockedPipeCostsLinesAndNoTraffic(t *testing.T) {
	t.Parallel()
	pipe := t.TempDir() + "/pipe"
	must(t, syscall.Mkfifo(pipe, 0o600))
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // and it never reads
	must(t, err)
	defer reader.Close()
	servesAllAndCountsLost(t, pipe)
}

func servesAllAndCountsLost(t *testing.T, path string) {
	node := startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(logged, path, longLine, endpoints(node.address())))
	addr := e.addr("mqtt")
	stays := mustConnect(t, addr, nil, "stays")
	const lost = `mqedge_access_log_lines_total{result="lost"}`
	n := 0
	eventually(t, func() string {
		for range 10 {
			d := mustConnect(t, addr, nil, fmt.Sprintf("client-%d", n))
			must(t, d.ping())
			must(t, d.leave())
			n++
		}
		if e.metrics()[lost] == 0 {
			return fmt.Sprintf("after %d connections no line is lost", n)
		}
		return ""
	})
	must(t, stays.ping())
	mustConnect(t, addr, nil, "after")
	e.awaitActive("mqtt", 2)
	e.signal(syscall.SIGTERM) // and it does not keep the process from ending
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	e.awaitLog("access log: lines are lost", "traffic is not affected", path)
}

func TestABlockedStandardOutputBlocksNothing(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	must(t, err)
	defer reader.Close()
	node := startFake(t, acknowledge)
	e := newEdge(t, fmt.Sprintf(logged, "-", longLine, endpoints(node.address())))
	e.cmd.Stdout = writer
	e.launch()
	must(t, writer.Close())
	e.awaitReady()
	stays := mustConnect(t, e.addr("mqtt"), nil, "stays")
	for i := range 20 { // ten times what a pipe holds
		must(t, mustConnect(t, e.addr("mqtt"), nil, fmt.Sprintf("client-%d", i)).leave())
	}
	must(t, stays.ping())
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWithoutAPathNothingIsLogged(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(logged, "", "json", endpoints(node.address())))
	must(t, mustConnect(t, e.addr("mqtt"), nil, "unseen").leave())
	e.awaitActive("mqtt", 0)
	e.signal(syscall.SIGUSR1)
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 || e.stdout.text() != "" {
		t.Errorf("exit code %d, standard output %q", code, e.stdout.text())
	}
}
