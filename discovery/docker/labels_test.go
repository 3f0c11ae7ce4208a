package docker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLabelsSayWhatIsOffered(t *testing.T) {
	specs, warnings, err := parseLabels(map[string]string{
		"com.docker.compose.project": "x", "mqedge.1.service": "hooks", "mqedge.1.port": " 9000 ", "mqedge.1.check": "grpc",
		"mqedge.service": "emqx", "mqedge.weight": "3", "mqedge.send_proxy": "v2", "mqedge.network": "lan", "mqedge.tags.zone": "b", "mqedge.tags.note": "",
		"mqedge.check": "http:18083/status?x=1", "mqedge.check.interval": "2s", "mqedge.check.timeout": "500ms", "mqedge.check.rise": "1", "mqedge.check.fall": "5",
		"mqedge.0.service": "plain", "mqedge.10.service": "last", "mqedge.10.check": "emqx/availability", "mqedge.2.service": "none", "mqedge.2.check": "none",
	})
	want := []spec{
		{service: "emqx", weight: 3, sendProxy: "v2", network: "lan", tags: map[string]string{"zone": "b", "note": ""}, checkPort: 18083,
			check: Check{Type: "http", Path: "/status?x=1", Interval: 2 * time.Second, Timeout: 500 * time.Millisecond, Rise: 1, Fall: 5}},
		{index: "0.", service: "plain"},
		{index: "1.", service: "hooks", port: 9000, check: Check{Type: "grpc"}},
		{index: "2.", service: "none", check: Check{Type: "none"}},
		{index: "10.", service: "last", check: Check{Type: "emqx", Path: "/availability"}},
	}
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(specs, want) {
		t.Errorf("%+v\n%v %v", specs, warnings, err)
	}
}

func TestALabelThatIsWrongIsNamedWithWhatWouldBeRight(t *testing.T) {
	for label, want := range map[string]string{
		"mqedge.port=mqtt":                           `label mqedge.port: "mqtt" is not a port from 1 to 65535`,
		"mqedge.port=0":                              "is not a port",
		"mqedge.port=1883/tcp":                       "is not a port",
		"mqedge.port=":                               "is not a port",
		"mqedge.weight=0":                            `label mqedge.weight: "0" is not a number from 1 to 65535`,
		"mqedge.service=":                            "label mqedge.service: is empty",
		"mqedge.service=a\x1b[1m":                    "holds what does not print",
		"mqedge.3.port=1":                            "label mqedge.3.service is missing: write the name that edges have at upstreams.NAME.gossip",
		"mqedge.send_proxy=on":                       `label mqedge.send_proxy: "on" is not one of off, v1, v2`,
		"mqedge.check=ping":                          `label mqedge.check: "ping" is not one of none, tcp, mqtt, http, emqx, grpc`,
		"mqedge.check=mqtt/x":                        "mqtt has no path",
		"mqedge.check=none:1":                        "none asks nobody",
		"mqedge.check=http:99999/":                   "is not a port",
		"mqedge.check=http:1/a b":                    "is not the path of a URL",
		"mqedge.check.interval=5":                    "is not a duration from 100ms to 1h",
		"mqedge.check.fall=0":                        "is not a number from 1 on",
		"mqedge.tags.=x":                             "label mqedge.tags.: is empty",
		"mqedge.service=" + strings.Repeat("x", 129): "has 129 bytes: at most 128",
	} {
		name, value, _ := strings.Cut(label, "=")
		labels := map[string]string{"mqedge.service": "emqx"}
		labels[name] = value
		if _, _, err := parseLabels(labels); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", label, err, want)
		}
	}
	if _, _, err := parseLabels(map[string]string{"mqedge.servcie": "emqx"}); err == nil || !strings.Contains(err.Error(), "label mqedge.service is missing") {
		t.Error(err)
	}
	many := make(map[string]string)
	for i := range mostServices + 1 {
		many[fmt.Sprintf("mqedge.%d.service", i)] = "x"
	}
	if _, _, err := parseLabels(many); err == nil {
		t.Error("there is no end to services")
	}
}

func TestALabelOfALaterVersionIsNoReasonToWithdrawAContainer(t *testing.T) {
	specs, warnings, err := parseLabels(map[string]string{"mqedge.service": "emqx", "mqedge.wieght": "3"})
	if err != nil || len(specs) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "label mqedge.wieght means nothing: there are check, ") {
		t.Errorf("%v %v %v", specs, warnings, err)
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("mqedge.port", "1883", "mqedge.check", "http:18083/status")
	f.Add("mqedge.0.service", "x", "mqedge.0.tags.zone", "b")
	f.Add("mqedge..service", "", "mqedge.00.port", "-1")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		specs, warnings, err := parseLabels(map[string]string{"mqedge.service": "emqx", a: b, c: d})
		for _, w := range warnings {
			if strings.ContainsAny(w, "\n\x1b") {
				t.Errorf("%q", w)
			}
		}
		if err != nil {
			return
		}
		for _, s := range specs {
			if printable(s.service, longestService) != nil || s.port < 0 || s.port > 65535 || s.weight < 0 || s.weight > 65535 || len(s.tags) > mostTags {
				t.Errorf("%+v", s)
			}
		}
	})
}
