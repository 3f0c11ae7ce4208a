package admin

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func exampleStatus() Status {
	return Status{
		Version: Version{Version: "1.2.0", Commit: "0123456789abcdef", Started: noon.Add(-75 * time.Hour)},
		Ready:   true,
		Time:    noon,
		Listeners: []Listener{
			{
				Name: "mqtts", Addresses: []string{"0.0.0.0:8884", "[::]:8884"}, Protocol: "mqtt", TLS: true, Active: 48210,
				Accepted: 1903112, Refused: map[string]uint64{"rate": 7, "tls_failed": 120, "denied": 0}, BytesIn: 3 << 30, BytesOut: 717 << 20,
				LastRefusal: "tls_failed: remote error: tls: unknown certificate authority",
			},
			{Name: "hooks", Addresses: []string{"127.0.0.1:9000"}, Protocol: "grpc", BytesIn: 900, BytesOut: 2048},
		},
		Upstreams: []Upstream{
			{Name: "emqx", Endpoints: []Endpoint{
				{Address: "10.0.0.11:1883", Weight: 1, Up: true, Connections: 24000, Connects: 900123, AnswerSeconds: 0.4999},
				{Address: "10.0.0.12:1883", Weight: 1, Up: true, Draining: true, Reason: "by hand", Connections: 210, Connects: 500120, Failures: 2},
				{
					Address: "[2001:db8::13]:1883", Weight: 2, Ejected: true, Connects: 500120, Failures: 31,
					Reason: "3 failures in 10s, the last one while dialling: connection refused; tried again at 12:00:07",
				},
				{Address: "10.0.0.14:1883", Weight: 1, Reason: "check failed: no answer within 2s (3 of 3)", AnswerSeconds: 2.3456},
				{Address: "10.0.0.15:1883", Weight: 1, Up: true, Draining: true, Reason: "draining: EMQX is evacuating, rebalancing or purging this node"},
			}},
			{Name: "hooks"},
		},
		Certificates: []Certificate{
			{File: "/etc/mqedge/tls/edge.pem", Names: []string{"edge.example.com", "*.example.com"}, NotAfter: noon.Add(41 * 24 * time.Hour)},
			{
				File: "/etc/mqedge/tls/a-folder-with-a-very-long-name/and-another-one/old.pem", Names: []string{"old.example.com"},
				NotAfter: noon.Add(30 * time.Hour), Error: "key.pem: permission denied; the certificate loaded before stays in use",
			},
			{File: "gone.pem", NotAfter: noon.Add(-time.Hour)},
		},
	}
}

func agentStatus() Status {
	return Status{
		Version: Version{Version: "dev", Started: noon}, Time: noon, Ready: true,
		Announced: Announcements{
			Announcements: []Announcement{
				{Service: "emqx", Address: "10.0.0.5:1883", Weight: 2, State: "up"},
				{Service: "emqx", Address: "10.0.0.5:21871", Weight: 1, State: "up", Container: "emqx-1"},
				{Service: "emqx", Address: "172.17.0.3:1883", Weight: 1, State: "waiting", Container: "emqx-2", Reason: "its check has not succeeded yet: connection refused"},
			},
			Engine: &Engine{Socket: "/var/run/docker.sock", Connected: true, Containers: []Container{
				{Name: "emqx-1", Offers: 1, Warnings: []string{"label mqedge.wieght means nothing"}},
				{Name: "emqx-2"},
				{Name: "hooks", Reason: "label mqedge.port is missing: write the port that the server in the container listens on", Wrong: true},
			}},
		},
		Members: []Member{{Host: "a", Address: "10.0.0.5:7946", Alive: true, Self: true, Since: noon}},
	}
}

func TestStatusFitsOnOneScreen(t *testing.T) {
	stopping := exampleStatus()
	stopping.Ready, stopping.Reason = false, "draining: 210 of 48210 connections are left,\nand \x1b[31mit takes 28s more"
	for _, test := range []struct {
		name   string
		status Status
		width  int
	}{
		{"status", exampleStatus(), 0},
		{"narrow", stopping, 60},
		{"agent", agentStatus(), 100},
		{"engine_away", Status{
			Version: Version{Version: "dev", Started: noon}, Time: noon, Ready: true,
			Announced: Announcements{Engine: &Engine{Socket: "/var/run/docker.sock", Error: "there is no socket /var/run/docker.sock: is Docker installed and running here?"}},
		}, 80},
		{"empty", Status{Version: Version{Version: "dev", Started: noon}, Time: noon, Ready: true}, 80},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := Render(&got, test.status, test.width); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, test.name, got.String())
			limit := test.width
			if limit == 0 {
				limit = 80
			}
			for line := range strings.Lines(got.String()) {
				line = strings.TrimSuffix(line, "\n")
				if utf8.RuneCountInString(line) > limit {
					t.Errorf("wider than %d: %q", limit, line)
				}
				if line != strings.TrimRight(line, " ") || strings.ContainsRune(line, '\x1b') {
					t.Errorf("trailing blanks or control characters: %q", line)
				}
			}
		})
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("\n got:\n%s\nwant:\n%s", got, want)
	}
}

func TestRenderingDoesNotChangeTheStatus(t *testing.T) {
	s := exampleStatus()
	before := fmt.Sprint(s)
	if err := Render(&bytes.Buffer{}, s, 40); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(s); after != before {
		t.Error("the status changed")
	}
}

func TestAnAgeHasItsTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 60 * time.Second: "1m0s", 3*time.Hour + 5*time.Minute: "3h5m", 49 * time.Hour: "2d1h",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
