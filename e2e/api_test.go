package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// What the tests read of the answers of the admin address. The names are those users rely on.
type (
	listenerState struct {
		Name      string
		Addresses []string
		Protocol  string
		TLS       bool
		Upstream  string
		Active    int
		Accepted  int `json:"accepted_total"`
		Refused   map[string]int
		Closed    map[string]int
		BytesIn   int `json:"bytes_in"`
		BytesOut  int `json:"bytes_out"`
	}
	endpointState struct {
		Address     string
		Weight      int
		Source      string
		Up          bool
		Draining    bool
		Ejected     bool
		Reason      string
		Connections int
		Connects    int `json:"connects_total"`
		Failures    int `json:"failures_total"`
	}
	upstreamState struct {
		Name, Protocol string
		Endpoints      []endpointState
	}
	certificateState struct {
		File      string
		Listeners []string
		Names     []string
		Error     string
	}
	connectionState struct {
		Listener, Client, Peer, Username, Endpoint string
		ClientID                                   string `json:"client_id"`
		MQTTVersion                                string `json:"mqtt_version"`
		Keepalive                                  int
		ServerName                                 string `json:"server_name"`
	}
)

// request asks the admin address. A token is sent if it is not empty.
func (e *edge) request(method, path, token string) (status int, body string, err error) {
	r, err := http.NewRequest(method, "http://"+e.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Close = true
	client := http.DefaultClient
	if e.client != nil {
		client = e.client
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// call is a request that must succeed.
func (e *edge) call(method, path string) string {
	e.t.Helper()
	status, body, err := e.request(method, path, "")
	if err != nil || status != http.StatusOK {
		e.t.Fatalf("%s %s: %d %s %v", method, path, status, body, err)
	}
	return body
}

func fetch[T any](e *edge, path string) T {
	e.t.Helper()
	var v T
	body := e.call("GET", path)
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		e.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
	return v
}

func (e *edge) listener(name string) listenerState {
	e.t.Helper()
	for _, l := range fetch[[]listenerState](e, "/api/v1/listeners") {
		if l.Name == name {
			return l
		}
	}
	e.t.Fatalf("there is no listener %s", name)
	return listenerState{}
}

// addr is the first address of a listener.
func (e *edge) addr(listener string) string {
	e.t.Helper()
	return e.listener(listener).Addresses[0]
}

func (e *edge) upstream(name string) upstreamState {
	e.t.Helper()
	for _, u := range fetch[[]upstreamState](e, "/api/v1/upstreams") {
		if u.Name == name {
			return u
		}
	}
	e.t.Fatalf("there is no upstream %s", name)
	return upstreamState{}
}

func (e *edge) endpoint(upstream, address string) endpointState {
	e.t.Helper()
	for _, ep := range e.upstream(upstream).Endpoints {
		if ep.Address == address {
			return ep
		}
	}
	e.t.Fatalf("upstream %s has no endpoint %s", upstream, address)
	return endpointState{}
}

// metrics is a scrape: values by series as written, labels in alphabetical order.
func (e *edge) metrics() map[string]float64 {
	e.t.Helper()
	series := make(map[string]float64)
	for line := range strings.Lines(e.call("GET", "/metrics")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			e.t.Fatalf("metrics: %q: %v", line, err)
		}
		series[line[:cut]] = value
	}
	return series
}

func (e *edge) awaitMetric(series string, want float64) {
	e.t.Helper()
	eventually(e.t, func() string {
		if got := e.metrics()[series]; got != want {
			return fmt.Sprintf("%s is %v, want %v", series, got, want)
		}
		return ""
	})
}

// awaitActive waits until a listener has this many connections.
func (e *edge) awaitActive(listener string, want int) {
	e.t.Helper()
	e.awaitMetric(fmt.Sprintf(`mqedge_connections_active{listener=%q}`, listener), float64(want))
}

// record is a line of a JSON access log.
type record map[string]any

// awaitAccess waits for the line of a connection for which field has this value, on standard output.
func (e *edge) awaitAccess(field string, value any) record {
	e.t.Helper()
	var found record
	eventually(e.t, func() string {
		for _, r := range records(e.t, e.stdout.text()) {
			if r[field] == value {
				found = r
				return ""
			}
		}
		return fmt.Sprintf("no line in the access log with %s %v", field, value)
	})
	return found
}

// records parses the whole lines of a JSON access log.
func records(t testing.TB, text string) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("access log: %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}
